cimport cython

@cython.final
cdef class Arrivals:
    cdef readonly long long first
    cdef readonly long long next
    cdef long long[::1] t
    cdef long long[::1] key
    cdef double[::1] size
    cdef double[::1] left
    cdef double[::1] early
    cdef long long[::1] near
    cdef long long[::1] died
    cdef long long[::1] _link
    cdef long long[::1] _newest
    cdef Py_ssize_t mask
    cdef Py_ssize_t _bucket(self, long long key)
    cdef void add(self, long long t_ns, long long key, double size, bint near)
    cdef long long _living(self, long long number, Py_ssize_t before, long long key, long long dead_ns)
    cdef long long newest(self, long long key, long long dead_ns)
    cdef long long older(self, long long number, long long dead_ns)
    cdef void leave(self, Py_ssize_t at, double left, long long t_ns)
    cdef void _fit(self)
    cdef void evict(self, long long before_ns)
    cdef void clear(self)

@cython.final
cdef class Leavers:
    cdef readonly long long first
    cdef readonly long long next
    cdef long long[::1] t
    cdef long long[::1] key
    cdef double[::1] amount
    cdef long long[::1] age
    cdef long long[::1] of
    cdef Py_ssize_t mask
    cdef void add(self, long long t_ns, long long key, double amount, long long age_ns, long long of)
    cdef void _fit(self)
    cdef void evict(self, long long before_ns)
    cdef void clear(self)
