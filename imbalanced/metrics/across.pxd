from imbalanced.book cimport Book
from imbalanced.metrics.depth cimport Band

cdef class VenueDepth:
    cdef Band _band
    cdef public double per_unit
    cdef public bint ok
    cdef readonly long long t_ns
    cdef readonly double bid
    cdef readonly double ask
    cpdef void look(self, Book book, long long t_ns)

cdef class Depths:
    cdef long long _max_age_ns
    cdef list _depths
    cdef list _weights
    cdef readonly Py_ssize_t fresh
    cdef readonly double surplus
    cpdef double imbalance(self, long long t_ns)
