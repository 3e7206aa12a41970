"""The statistics by their query. A new one is one file, and a line here."""

from dpjobs.query import Query
from dpjobs.statistics.base import Statistic
from dpjobs.statistics.count import Count
from dpjobs.statistics.mean import Mean
from dpjobs.statistics.sum import Sum
from dpjobs.statistics.variance import Variance

STATISTICS: dict[Query, Statistic] = {s.query: s for s in (Count(), Sum(), Mean(), Variance())}
