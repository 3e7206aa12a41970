"""The ways by name, and what they are called in tables and the picture."""

PARQUET, CSV = "parquet", "csv"

DUCKDB, POLARS, SPARK = "duckdb", "polars", "spark"
DUCKDB_OURS, DUCKDB_2GB = "dpcloud-duckdb", "dpcloud-2gb"
TUMULT_UNCHECKED = "dpcloud-spark-tumult-unchecked"
SPARK_OURS = {"pipelinedp-own": "dpcloud-spark-pipelinedp", "tumult-own": "dpcloud-spark-tumult"}
"""Ours on Spark, by the library's own way that it stands beside."""

LIBRARIES = {
    "opendp-own": "OpenDP's own, in memory",
    "diffprivlib-own": "DiffPrivLib's own, in memory",
    "pipelinedp-own": "PipelineDP's own, on Spark",
    "tumult-own": "Tumult Analytics' own, on Spark",
}

TITLES = {
    DUCKDB: "DuckDB, no privacy",
    POLARS: "Polars, no privacy",
    SPARK: "Spark, no privacy",
    DUCKDB_OURS: "**dpcloud on DuckDB**",
    "dpcloud-spark-pipelinedp": "**dpcloud on Spark**, PipelineDP",
    "dpcloud-spark-tumult": "**dpcloud on Spark**, Tumult Analytics",
    TUMULT_UNCHECKED: "**dpcloud on Spark**, Tumult Analytics, `--check-share 0`",
    DUCKDB_2GB: "**dpcloud on DuckDB** with `--memory 2GB`",
    **LIBRARIES,
}


def spark_by(engine: str) -> str:
    """Ours on Spark by an engine."""
    return SPARK_OURS[f"{engine}-own"]


def power(rows: int) -> str:
    """A power of ten as it is written in texts, any other number with commas."""
    exponent = len(str(rows)) - 1
    if rows != 10**exponent:
        return f"{rows:,}"
    return "10" + str(exponent).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
