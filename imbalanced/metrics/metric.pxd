cimport cython
from imbalanced.book cimport Book

@cython.final
cdef class AsOf:
    cdef public Py_ssize_t count
    cdef long long[::1] _t
    cdef double[::1] _x
    cdef Py_ssize_t _head
    cdef void _move(self, Py_ssize_t capacity)
    cpdef void push(self, long long t_ns, double x)
    cpdef double at(self, long long t_ns)
    cpdef void clear(self)

cdef class Metric:
    cdef public double[::1] out
    cdef public int answered
    cpdef int book_replaced(self, Book book, long long t_ns)
    cpdef int book_changed(self, Book book, long long t_ns)
    cpdef int book_invalid(self, long long t_ns)
    cpdef int trade(self, long long px, double size, int sign, long long t_ns)
    cpdef int clock(self, Book book, long long t_ns)
    cpdef int value(self, double x, long long t_ns)
