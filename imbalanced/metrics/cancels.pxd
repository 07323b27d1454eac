cimport cython

@cython.final
cdef class Volumes:
    cdef public Py_ssize_t count
    cdef double[::1] amount
    cdef long long[::1] number
    cdef double[::1] _slack
    cdef long long[::1] _t
    cdef long long[::1] _key
    cdef long long[::1] _next
    cdef long long[::1] _first
    cdef long long[::1] _last
    cdef Py_ssize_t _head
    cdef Py_ssize_t _mask
    cdef Py_ssize_t _bucket(self, long long key)
    cdef void add(self, long long t_ns, long long key, double amount, double slack, long long number)
    cdef Py_ssize_t oldest(self, long long key)
    cdef double take(self, Py_ssize_t at, double wanted)
    cdef void _fit(self)
    cdef void evict(self, long long before_ns)
    cdef void clear(self)

cdef double rounding(double old, double decrease)
cdef double unexplained(Volumes trades, long long key, double decrease, double slack)
