from imbalanced.book cimport Book, Ladder

cdef class Band:
    cdef readonly Py_ssize_t bids
    cdef readonly Py_ssize_t asks
    cdef object _exact
    cdef bint _fits
    cdef long long _num
    cdef long long _den
    cdef long long _total
    cdef long long _reach
    cdef void _measure(self, long long total)
    cdef void place(self, Book book)

cdef double size_from(Ladder ladder, Py_ssize_t at)
cdef double notional_from(Ladder ladder, Py_ssize_t at)
