cimport cython

@cython.final
cdef class Digits:
    cdef public object told
    cdef object _levels
    cdef object _of_price
    cdef object _of_size
    cdef bint _fixed
    cdef dict _long
    cdef dict _kept
