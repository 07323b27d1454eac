cimport cython
@cython.final
cdef class Rows:
    cdef public Py_ssize_t n
    cdef public Py_ssize_t n_bids
    cdef public long long[::1] px
    cdef public double[::1] size
    cdef public double[::1] old
    cpdef void clear(self)
    cdef void _grow(self)
    cpdef void add(self, long long px, double size)
    cpdef void end_bids(self)

@cython.final
cdef class Ladder:
    cdef public long long sign
    cdef public Py_ssize_t n
    cdef public long long[::1] key
    cdef public double[::1] size
    cdef void _grow(self)
    cdef Py_ssize_t _place(self, long long key)
    cpdef double put(self, long long px, double size)
    cpdef double size_at(self, long long px)
    cpdef long long px_at(self, Py_ssize_t rank)
    cpdef double size_of(self, Py_ssize_t rank)
    cpdef void clear(self)
    cpdef void truncate(self, Py_ssize_t depth)
    cpdef void fill(self, Rows rows, Py_ssize_t start, Py_ssize_t stop)

@cython.final
cdef class Book:
    cdef public Ladder bids
    cdef public Ladder asks
    cdef public Rows rows
    cdef public bint live
    cpdef void clear(self)
    cpdef void replace(self, Rows rows)
    cpdef void apply(self, Rows rows)
    cpdef bint clean(self)
    cpdef bint ok(self)
