cimport cython
from imbalanced.book cimport Rows

@cython.final
cdef class Cursor:
    cdef object _data
    cdef unsigned char* _p
    cdef Py_ssize_t _eights
    cdef public Py_ssize_t at
    cpdef void start(self, bytes data)
    cpdef bint literal(self, bytes text)
    cpdef long long integer(self)
    cpdef int key(self)
    cpdef bytes text(self)
    cpdef bint levels(self, Rows rows, int scale)
    cdef long long _price(self, int scale)
    cdef double _size(self)
