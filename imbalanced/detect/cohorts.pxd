cimport cython
from imbalanced.book cimport Book, Ladder, Rows
from imbalanced.detect.arrivals cimport Arrivals, Leavers
from imbalanced.metrics.cancels cimport Volumes
from imbalanced.metrics.metric cimport Metric

@cython.final
cdef class Cohorts(Metric):
    cdef readonly Book book
    cdef readonly long long now_ns
    cdef readonly long long early_ns
    cdef readonly double young_bid
    cdef readonly double young_ask
    cdef Arrivals _arrivals
    cdef Leavers _leavers
    cdef Leavers _takers
    cdef Volumes _cancels
    cdef Volumes _trades
    cdef Book _none
    cdef double _reach
    cdef long long _keep_ns
    cdef long long _least_ns
    cdef long long[::1] _gaps
    cdef Py_ssize_t _gap
    cdef long long _book_ns
    cdef void _side(self, Ladder ladder, Rows rows, Py_ssize_t start, Py_ssize_t stop)
    cdef void _pace(self, long long t_ns)
    cdef void _forget(self)
    cdef void _evict(self, long long t_ns)
    cdef void _leave(self, long long key, double old, double new, bint told)
    cdef void _left(self, long long key, double amount, double slack, long long age_ns, long long of)
    cdef void _fit(self, long long key, double size)
    cdef void _take_back(self, long long key, double size)
    cpdef void cover(self, double bps)
    cpdef double young_at(self, long long key, long long age_ns)
    cpdef void weigh(self, long long age_ns, long long bid_edge, long long ask_edge)
    cpdef double younger(self, long long age_ns, long long edge, long long best, double enough)
    cpdef double cancelled_at(self, long long key, long long since_ns)
    cpdef double taken(self, int sign, long long since_ns)
    cpdef double flicker(self, int side, long long window_ns)
    cpdef double cancelled(self, int side)
