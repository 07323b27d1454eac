from imbalanced.book cimport Book, Ladder
from imbalanced.detect.cohorts cimport Cohorts
from imbalanced.metrics.metric cimport Metric
from imbalanced.metrics.statistics cimport RollingQuantile

cdef class Wall:
    cdef readonly long long key
    cdef readonly double size
    cdef readonly int state
    cdef readonly long long since_ns

cdef class Walls(Metric):
    cdef readonly list bids
    cdef readonly list asks
    cdef readonly list cases
    cdef Cohorts _cohorts
    cdef RollingQuantile _minutes
    cdef double[::1] _sizes
    cdef double _taken
    cdef long long _minute_ns
    cdef long long _tick
    cdef void _forget(self)
    cdef void _count(self, double size, long long t_ns)
    cdef double _median(self, Ladder ladder)
    cdef void _find(self, Ladder ladder, list known, double bar)
    cdef bint _near(self, Ladder ladder, long long key)
    cdef bint _over(self, Wall wall, Ladder ladder, long long t_ns)
    cdef void _judge(self, Wall wall, long long t_ns)
    cdef void _watch(self, Ladder ladder, list known, long long t_ns)
