from imbalanced.book cimport Book
from imbalanced.metrics.metric cimport AsOf

cdef class Follower:
    cdef AsOf _past
    cdef long long _keep_ns
    cpdef double ago(self, long long t_ns)
    cdef void push(self, long long t_ns, double mid)
    cdef void clear(self)

cdef class Post:
    cdef readonly bint watched
    cdef public double per_unit
    cdef readonly bint ok
    cdef readonly long long recv_ns
    cdef readonly double mid
    cdef readonly double spread
    cdef list _depths
    cdef dict _by_bps
    cdef list _followers
    cpdef void show(self, Book book, long long recv_ns)
    cpdef void gone(self)
