from imbalanced.metrics.metric cimport Metric

cdef class Composite(Metric):
    cdef public double[::1] z
    cdef public double coverage
    cdef tuple _names
    cdef list _exact
    cdef object _exact_all
    cdef object _exact_least
    cdef Py_ssize_t _n
    cdef double[::1] _weights
    cdef double _all
    cdef double _least
    cdef double _clip
    cpdef int blend(self)
    cdef double _cut(self, double z)
    cdef bint _covers(self, double covered)
    cdef double _exact_total(self)
