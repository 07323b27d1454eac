cdef class Scales:
    cdef readonly double largest
    cdef readonly double share
    cdef readonly double present
    cdef readonly double present_share
    cdef list _sums
    cdef long long[::1] _window_ns
    cdef double[::1] _root
    cdef long long _instant_ns
    cdef long long _begin_ns
    cdef double _plus
    cdef double _minus
    cdef double _counted(self)
    cdef void _close(self, long long t_ns)
    cdef void _nothing(self)
    cpdef void push(self, double x, long long t_ns)
    cpdef double look(self, long long t_ns)
    cpdef void clear(self)

cdef class TakerScales(Scales):
    cdef int _side
    cdef long long _first_ns
    cdef double _notional
    cpdef void take(self, double notional, int sign, long long t_ns)

cdef class Strides:
    cdef readonly double largest
    cdef readonly double change
    cdef list _past
    cdef long long[::1] _window_ns
    cdef double[::1] _root
    cdef double _level
    cpdef void push(self, double level, long long t_ns)
    cpdef double look(self, long long t_ns)
    cpdef void clear(self)
