from imbalanced.metrics.metric cimport AsOf, Metric
from imbalanced.metrics.windows cimport Sums
from imbalanced.book cimport Book

cdef class Absorption(Metric):
    cdef public double min_net
    cdef public double ref_volume
    cdef long long _window_ns
    cdef double _most_halves
    cdef object _most_ticks
    cpdef double gross(self)
    cpdef double net(self)
    cdef Sums _flow
    cdef AsOf _mids
    cdef bint _ok
    cdef double _mid
    cdef long long _base
    cdef void _forget(self)
    cdef void _remember(self, Book book, long long t_ns)
    cdef double _effort(self, long long t_ns)
