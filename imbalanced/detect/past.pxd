from imbalanced.book cimport Book, Ladder
from imbalanced.metrics.metric cimport Metric
from imbalanced.metrics.statistics cimport RollingQuantile

cdef class Past:
    cdef RollingQuantile _past
    cdef long long _grid_ns
    cdef long long _next_ns
    cdef double _held
    cpdef void clear(self)
    cpdef bint observe(self, double x, long long t_ns)
    cpdef double threshold(self)

cdef class Usual:
    cdef readonly double times
    cdef readonly double peak
    cdef RollingQuantile _peaks
    cdef double _largest
    cdef long long _next_ns
    cdef Py_ssize_t _beyond
    cpdef void clear(self)
    cpdef void observe(self, double x, long long t_ns)
    cdef void _end_second(self)
    cpdef bint passes(self, double x, double share=*)
    cpdef bint beyond(self, double x)

cdef class Mean:
    cdef long long _window_ns
    cdef long long[::1] _t
    cdef double[::1] _x
    cdef double[::1] _area
    cdef Py_ssize_t _head
    cdef Py_ssize_t _count
    cdef void _fit(self)
    cpdef void clear(self)
    cpdef double push(self, double x, long long t_ns)

cdef class TickSize(Metric):
    cdef readonly long long px
    cdef bint _known
    cdef int _answer(self)
    cdef void _meet(self, long long px)
    cdef void _walk(self, Ladder ladder)
