from imbalanced.metrics.statistics cimport EwmaZscore, RobustZscore, RollingQuantile

cdef class Standardiser:
    cdef int _by
    cdef EwmaZscore _ewma
    cdef RobustZscore _robust
    cdef RollingQuantile _quantile
    cdef readonly long long grid_ns
    cdef readonly long long warm_ns
    cdef readonly Py_ssize_t seen
    cdef readonly long long first_ns
    cdef long long _next_ns
    cdef double _held
    cdef bint _centre
    cpdef void skip(self)
    cpdef void least(self, double sd)
    cpdef double score(self, double x, long long t_ns)
    cpdef bint warm(self, long long t_ns)
    cpdef void clear(self)
    cdef void _sample(self, long long t_ns)
    cdef void _take(self, double x, long long t_ns)
