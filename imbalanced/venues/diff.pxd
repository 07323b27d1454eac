cimport cython
from imbalanced.book cimport Rows

@cython.final
cdef class Diff:
    cdef public object symbol
    cdef public long long first_id
    cdef public long long last_id
    cdef public long long prev_id
    cdef public long long event_ns
    cdef public Rows rows
    cdef public bint checked
    cdef public object checksum
    cdef public object orders
