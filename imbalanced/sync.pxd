cimport cython
from imbalanced.book cimport Book
from imbalanced.venues.diff cimport Diff

@cython.final
cdef class BookSync:
    cdef public Book book
    cdef public int state
    cdef public long long last_id
    cdef public long long offset
    cdef public bint by_previous
    cdef public bint unchained
    cdef public int source
    cdef public Py_ssize_t depth
    cdef public list buffer
    cdef public Py_ssize_t buffer_limit
    cdef public long long crossed_since_ns
    cdef public bint joined
    cdef public int old_in_a_row
    cdef public long long image_id
    cdef public long long seen_id
    cdef public long long heard_ns
    cdef public long long heard_count
    cdef public double interval_ns
    cdef public double longest_ns
    cdef public object orders
    cdef bint _apply(self, Diff diff)
    cpdef void heard(self, long long recv_ns)
    cpdef void begin(self)
    cpdef void idle(self)
    cpdef int diff(self, Diff diff, long long recv_ns)
    cdef bint _follows(self, Diff diff)
    cdef int _live(self, Diff diff, long long recv_ns)
    cdef int _buffered(self, Diff diff)
    cdef int _join(self, Diff diff)
