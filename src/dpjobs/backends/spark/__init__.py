"""Spark as a backend: on this machine, on Glue and on EMR. Only here, and in Tumult's engine, is pyspark imported."""
