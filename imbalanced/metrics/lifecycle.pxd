from imbalanced.metrics.metric cimport Metric

cdef class Lifecycle:
    cdef public double on
    cdef public double off
    cdef public double update_step
    cdef public long long min_duration_ns
    cdef public long long cooldown_ns
    cdef public long long max_age_ns
    cdef readonly int state
    cdef readonly int armed
    cdef readonly int side
    cdef readonly int reason
    cdef readonly double peak
    cdef readonly long long since_ns
    cdef readonly long long opened_ns
    cdef long long _free_buy_ns
    cdef long long _free_sell_ns
    cpdef int value(self, double x, long long t_ns)
    cpdef int clock(self, long long t_ns)
    cpdef int invalid(self, long long t_ns)
    cpdef int close(self, int reason, long long t_ns)
    cpdef void suppress(self)
    cdef void _arm(self, int side, long long t_ns)
    cdef int _while_open(self, double x, long long t_ns)
    cdef int _while_shut(self, double x, long long t_ns)

cdef class Detector(Metric):
    cdef readonly Lifecycle lifecycle
    cdef int _last
    cdef int _answered(self, int happened)
