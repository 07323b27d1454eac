cimport cython
from imbalanced.book cimport Book, Ladder
from imbalanced.metrics.metric cimport Metric

@cython.final
cdef class FlowWindow:
    cdef readonly Py_ssize_t count
    cdef readonly Py_ssize_t columns
    cdef readonly long long first
    cdef double[::1] row
    cdef double[::1] _high
    cdef double[::1] _low
    cdef long long[::1] _t
    cdef double[::1] _rows
    cdef Py_ssize_t _head
    cdef Py_ssize_t _capacity
    cdef void _move(self, Py_ssize_t capacity)
    cdef void _add(self, Py_ssize_t k, double x)
    cdef Py_ssize_t _place(self, long long number, Py_ssize_t k)
    cdef void push(self, long long t_ns)
    cdef void evict(self, long long until_ns)
    cdef double sum(self, Py_ssize_t k)
    cdef double cell(self, long long number, Py_ssize_t k)
    cdef void amend(self, long long number, Py_ssize_t k, double x)
    cdef void clear(self)

cdef class Flow(Metric):
    cdef Py_ssize_t _levels
    cdef FlowWindow _window
    cdef long long _window_ns
    cdef bint _anchored
    cdef long long[::1] _key
    cdef double[::1] _size
    cdef double _scaled(self, double size)
    cdef double _step(self, Ladder ladder, Py_ssize_t rank, Py_ssize_t slot)
    cdef void _enter(self, Book book)
    cdef int _value(self)
