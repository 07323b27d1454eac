from imbalanced.book cimport Book, Ladder
from imbalanced.detect.cohorts cimport Cohorts
from imbalanced.metrics.depth cimport Band
from imbalanced.metrics.metric cimport Metric
from imbalanced.metrics.statistics cimport SortedRing

cdef class Side:
    cdef readonly double raw
    cdef readonly double stood
    cdef readonly long long best
    cdef readonly long long edge
    cdef readonly SortedRing usual
    cdef double _touch
    cdef double _behind
    cdef double _fresh
    cdef void clear(self)
    cdef void look(self, Ladder ladder, Py_ssize_t at)
    cdef void age(self, double fresh, double fresh_touch)
    cdef void prove(self, Cohorts cohorts, long long age_ns)
    cdef void sample(self)

cdef class Standing(Metric):
    cdef readonly Cohorts cohorts
    cdef readonly Side bids
    cdef readonly Side asks
    cdef readonly double raw
    cdef Band _band
    cdef bint _eager
    cdef long long _prove_ns
    cdef long long _next_ns
    cdef void _forget(self)
    cdef int _seen(self, long long t_ns)
    cdef void _age(self)
    cpdef int measure(self)
