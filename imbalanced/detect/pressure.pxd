from imbalanced.book cimport Book
from imbalanced.detect.past cimport Past, Usual
from imbalanced.detect.scales cimport Scales, Strides, TakerScales
from imbalanced.metrics.flow cimport Flow
from imbalanced.metrics.metric cimport Metric

cdef class TouchFlow(Flow):
    cdef Scales _scales
    cdef Past _usual
    cdef double _moved(self, Book book, long long t_ns)
    cdef int _look(self, long long t_ns)

cdef class TakerPressure(Metric):
    cdef TakerScales _scales
    cdef double _per_unit
    cdef int _look(self, long long t_ns)

cdef class Effect(Metric):
    cdef double _times
    cdef TakerScales _takers
    cdef Strides _price
    cdef Usual _usual_takers
    cdef Usual _usual_move
    cdef double _per_unit
    cdef double _spread
    cdef int _look(self, long long t_ns)
    cpdef bint pressed(self, double score)
    cpdef bint seen(self, double score)
