"""Files that Hadoop reads (s3://, hdfs://, …), looked at through the running Spark."""

from typing import Any

from pyspark.sql import SparkSession

from dpjobs.errors import InputError
from dpjobs.source import Entry


class HadoopFiles:
    """Lists and begins files through Hadoop's FileSystem; raises InputError when a place cannot be reached."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._jvm: Any = spark._jvm
        self._conf = spark._jsc.hadoopConfiguration()

    def look(self, uri: str) -> Entry | None:
        """Return what is at the address, None when nothing is."""
        path = self._jvm.org.apache.hadoop.fs.Path(uri)
        try:
            system = path.getFileSystem(self._conf)
            return _entry(system.getFileStatus(path)) if system.exists(path) else None
        except Exception:  # Java's text names hosts and keys
            raise _unreachable(uri) from None

    def children(self, uri: str) -> list[Entry]:
        """Return what a folder holds."""
        path = self._jvm.org.apache.hadoop.fs.Path(uri)
        try:
            return [_entry(status) for status in path.getFileSystem(self._conf).listStatus(path)]
        except Exception:
            raise _unreachable(uri) from None

    def read(self, path: str, start: int, size: int) -> bytes:
        """Return a file's bytes from `start` on, `size` of them or as many as there are."""
        hadoop_path = self._jvm.org.apache.hadoop.fs.Path(path)
        try:
            stream = hadoop_path.getFileSystem(self._conf).open(hadoop_path)
            try:
                stream.seek(start)
                bounded = self._jvm.org.apache.commons.io.input.BoundedInputStream(stream, size)
                return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(bounded))
            finally:
                stream.close()
        except Exception:
            raise _unreachable(path) from None


def _entry(status: Any) -> Entry:
    return Entry(str(status.getPath().toString()), int(status.getLen()), bool(status.isDirectory()))


def _unreachable(uri: str) -> InputError:
    return InputError.of("cannot be reached", uri, "an address that this user may read")
