from imbalanced.book cimport Book
from imbalanced.detect.across cimport Post
from imbalanced.detect.detector cimport Detector
from imbalanced.metrics.metric cimport Metric

cdef class Desk:
    cdef readonly Book book
    cdef readonly list metrics
    cdef readonly list detectors
    cdef readonly list fired
    cdef list _of_book
    cdef list _of_trades
    cdef list _of_both
    cdef list _of_any
    cdef list _all
    cdef list _on_book
    cdef list _on_trade
    cdef dict _on_context
    cdef readonly Post post
    cdef list _clocked
    cdef list _clocked_in
    cdef dict _of_context
    cdef dict _polls
    cdef list _named
    cdef list _words
    cdef readonly long long book_ns
    cdef readonly long long trade_ns
    cdef readonly long long latest_ns
    cdef readonly long long recv_ns
    cdef readonly long long book_recv_ns
    cdef readonly long long trade_recv_ns
    cdef readonly long long heard_book_ns
    cdef readonly long long heard_trade_ns
    cdef readonly long long book_lag_ns
    cdef readonly long long trade_lag_ns
    cdef readonly long long updates
    cpdef int book_changed(self, Book book, long long event_ns, long long recv_ns)
    cpdef int book_replaced(self, Book book, long long event_ns, long long recv_ns)
    cpdef int book_invalid(self, long long recv_ns)
    cpdef int trade(self, long long px, double size, int sign, long long event_ns, long long recv_ns)
    cpdef int clock(self, long long recv_ns)
    cdef void _book_time(self, Book book, long long event_ns, long long recv_ns)
    cpdef long long time_of(self, Detector detector)
    cdef int _detect(self, list woken)
    cdef void _heard(self, Detector detector, int said)
