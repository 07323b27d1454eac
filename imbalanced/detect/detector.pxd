from imbalanced.book cimport Book
from imbalanced.detect.past cimport Usual
from imbalanced.detect.standardiser cimport Standardiser
from imbalanced.metrics.lifecycle cimport Lifecycle

cdef class Detector:
    cdef readonly str name
    cdef readonly str kind
    cdef readonly object options
    cdef readonly list metrics
    cdef readonly Lifecycle lifecycle
    cdef readonly Standardiser standardiser
    cdef readonly bint of_book
    cdef readonly int wakes
    cdef public bint instant
    cdef public bint silent
    cdef bint _has_side
    cdef readonly Usual usual
    cdef readonly double raw
    cdef readonly double x
    cdef readonly double last
    cdef readonly long long now_ns
    cdef public str signal_id
    cdef public long long opened_recv_ns
    cdef public int opened_before
    cpdef double score(self, long long t_ns)
    cdef double _offered(self)
    cpdef double magnitude(self)
    cpdef double read(self)
    cpdef double shape(self, double score)
    cpdef int step(self, long long t_ns)
    cpdef int clock(self, long long t_ns)
    cpdef int invalid(self, long long t_ns)
    cpdef void cut(self)

cdef double held_below(double score, double on)
cdef double held_until_known(Detector one, double score)
