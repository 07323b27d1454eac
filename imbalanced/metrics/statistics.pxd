from imbalanced.metrics.metric cimport Metric

cdef class EwmaZscore(Metric):
    cdef readonly Py_ssize_t n
    cdef readonly double mean
    cdef readonly double variance
    cdef readonly long long first_ns
    cdef long long _last_ns
    cdef double _half_life_ns
    cdef Py_ssize_t _min_count
    cdef double _clip
    cdef bint _varied
    cdef double _weight
    cdef public bint even
    cdef public double floor
    cdef double _of_even_start(self, double keep)
    cpdef double score(self, double x)
    cpdef double scaled(self, double x)
    cpdef void update(self, double x, long long t_ns)
    cpdef void clear(self)
    cpdef void idle(self, long long t_ns)
    cdef double _in_deviations(self, double d)

cdef class SortedRing:
    cdef readonly Py_ssize_t n
    cdef readonly double[::1] sorted
    cdef double[::1] _ring
    cdef Py_ssize_t _next
    cdef Py_ssize_t place(self, double x)
    cdef void push(self, double x)
    cdef double median(self)
    cdef double deviation(self, double median)

cdef class RobustZscore(Metric):
    cdef SortedRing _past
    cdef Py_ssize_t _min_count
    cpdef double score(self, double x)
    cpdef void update(self, double x)
    cpdef void clear(self)

cdef class RollingQuantile(Metric):
    cdef SortedRing _past
    cdef Py_ssize_t _min_count
    cdef double _q
    cpdef double threshold(self)
    cpdef double rank(self, double x)
    cpdef void update(self, double x)
    cpdef void clear(self)
