cdef long long floor_div(long long a, long long b)
cdef Py_ssize_t room(Py_ssize_t count, Py_ssize_t capacity)

cdef class Sums:
    cdef public double[::1] row
    cdef public double[::1] sums
    cdef public Py_ssize_t count
    cdef readonly Py_ssize_t columns
    cdef long long[::1] _t
    cdef double[::1] _rows
    cdef double[::1] _fresh
    cdef Py_ssize_t _head
    cdef Py_ssize_t _old
    cdef Py_ssize_t _at(self, Py_ssize_t i)
    cdef void _move(self, Py_ssize_t capacity)
    cdef void _add_up(self)
    cpdef void push(self, long long t_ns)
    cpdef void evict(self, long long until_ns)
    cpdef void clear(self)
