-- A ledger of version 1, as release 0.1.0 wrote it: two engines, bounds given and found, a run without a release
PRAGMA application_id = 1146113095;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE datasets (
        name TEXT PRIMARY KEY,
        total INTEGER NOT NULL CHECK (total >= 0),
        spent INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0 AND spent <= total)
    ) STRICT;
INSERT INTO "datasets" VALUES('/tmp/dpcloud-v1/census.csv',10000000000,2250000000);
INSERT INTO "datasets" VALUES('census',10000000000,2100000000);
INSERT INTO "datasets" VALUES('s3://bucket/census',10000000000,250000000);
INSERT INTO "datasets" VALUES('s3://bucket/data',3000000000,0);
INSERT INTO "datasets" VALUES('s3://bucket/data/x.csv',3000000000,0);
INSERT INTO "datasets" VALUES('s3://bucket//odd',3000000000,0);
CREATE TABLE runs (
        run_id TEXT PRIMARY KEY,
        dataset TEXT NOT NULL REFERENCES datasets (name),
        epsilon INTEGER NOT NULL CHECK (epsilon > 0),
        digest TEXT NOT NULL,
        reserved_at TEXT NOT NULL,
        committed_at TEXT,
        release TEXT
    ) STRICT;
INSERT INTO "runs" VALUES('first-tumult','/tmp/dpcloud-v1/census.csv',1000000000,'fe3f3faaedd98ff0808883609d4babcaae8677ec0332af92926284b1693fcad2','2026-11-26T03:55:33.441926+00:00','2026-11-26T03:56:25.179290+00:00','{"format": 1, "run_id": "first-tumult", "dataset": "/tmp/dpcloud-v1/census.csv", "engine": "tumult", "engine_version": "tmlt.analytics 0.21.0, tmlt.core 0.19.1", "query": "MEAN", "column": "TotalPop", "value": 4004.2892756043934, "interval": [3993.8160331828235, 4014.762518025963], "confidence": 0.95, "epsilon": 1, "delta": 0, "unit": {"kind": "row"}, "protects": "one row: someone with k rows in the table is protected k times less", "bounds": {"lower": 0.0, "upper": 10000.0, "source": "given", "epsilon": 0}, "rounding_per_row": 0.0002441406268189894, "middle": 5000.0, "measurements": [{"name": "count", "value": 2942, "epsilon": 0.5, "sensitivity": 1, "noise": "two-sided geometric", "scale": 2.0, "step": 1}, {"name": "sum", "value": -2929380.951171875, "epsilon": 0.5, "sensitivity": 5000, "noise": "two-sided geometric", "scale": 10000.0, "step": 0.00048828125}]}');
INSERT INTO "runs" VALUES('first-pipelinedp','/tmp/dpcloud-v1/census.csv',1000000000,'2ac215c000cd53f019fdb58769bc4c9bdb8e8d614d81d06ab21a58fc283f2211','2026-11-26T03:55:33.441926+00:00','2026-11-26T03:56:25.741395+00:00','{"format": 1, "run_id": "first-pipelinedp", "dataset": "/tmp/dpcloud-v1/census.csv", "engine": "pipelinedp", "engine_version": "pipeline-dp 0.3.1, python-dp 1.1.5", "query": "MEAN", "column": "TotalPop", "value": 4007.394542037995, "interval": [3996.901545954716, 4017.8875381212742], "confidence": 0.95, "epsilon": 1, "delta": 0, "unit": {"kind": "row"}, "protects": "one row: someone with k rows in the table is protected k times less", "bounds": {"lower": 0.0, "upper": 10000.0, "source": "given", "epsilon": 0}, "rounding_per_row": 0.0002441406268189894, "middle": 5000.0, "measurements": [{"name": "count", "value": 2942, "epsilon": 0.5, "sensitivity": 1, "noise": "rounded Laplace", "scale": 2.0, "step": 1}, {"name": "sum", "value": -2920245.2573242188, "epsilon": 0.5, "sensitivity": 5000, "noise": "rounded Laplace", "scale": 10000.0, "step": 0.00048828125}]}');
INSERT INTO "runs" VALUES('second','census',2000000000,'99f8d5958a1bbe284a4324e0c7315dce9a1cec6f54e59c966ed8464228272a31','2026-11-26T03:56:41.652653+00:00','2026-11-26T03:56:47.835343+00:00','{"format": 1, "run_id": "second", "dataset": "census", "engine": "pipelinedp", "engine_version": "pipeline-dp 0.3.1, python-dp 1.1.5", "query": "VARIANCE", "column": "TotalPop", "value": 2152339.5993909114, "interval": [2136470.9568303702, 2168327.3144335216], "confidence": 0.95, "epsilon": 2, "delta": 0, "unit": {"kind": "row"}, "protects": "one row: someone with k rows in the table is protected k times less", "bounds": {"lower": 1024.0, "upper": 8192.0, "source": "private", "epsilon": 0.2, "beta": 0.010775750519296075, "threshold": 45.87356597166516, "noise": "rounded Laplace", "scale": 5.0}, "rounding_per_row": 0.0001220703143189894, "middle": 4608.0, "measurements": [{"name": "count", "value": 2943, "epsilon": 0.6, "sensitivity": 1, "noise": "rounded Laplace", "scale": 1.6666666666666667, "step": 1}, {"name": "sum", "value": -1721876.7622070312, "epsilon": 0.6, "sensitivity": 3584, "noise": "rounded Laplace", "scale": 5973.333333333334, "step": 0.000244140625}, {"name": "sum_of_squares", "value": -11559736809.5, "epsilon": 0.6, "sensitivity": 6422528, "noise": "rounded Laplace", "scale": 10704213.333333334, "step": 0.5}]}');
INSERT INTO "runs" VALUES('third','census',100000000,'c36df7ccbbfcec67c9ae46737b95c2d7d4a78afd353fc70985e04537d7eec881','2026-11-26T03:57:03.949367+00:00','2026-11-26T03:57:55.281443+00:00','{"format": 1, "run_id": "third", "dataset": "census", "engine": "tumult", "engine_version": "tmlt.analytics 0.21.0, tmlt.core 0.19.1", "query": "COUNT", "column": null, "value": 3000, "interval": [2970, 3030], "confidence": 0.95, "epsilon": 0.1, "delta": 0, "unit": {"kind": "row"}, "protects": "one row: someone with k rows in the table is protected k times less", "bounds": null, "rounding_per_row": 0.0, "middle": 0.0, "measurements": [{"name": "count", "value": 3000, "epsilon": 0.1, "sensitivity": 1, "noise": "two-sided geometric", "scale": 10.000000000000098, "step": 1}]}');
INSERT INTO "runs" VALUES('reserved','/tmp/dpcloud-v1/census.csv',250000000,'fee86c966f1a35abbcc980168a58f34d306187c3f1a7d2203c3081e447ecabed','2026-11-26T03:57:59.106994+00:00',NULL,NULL);
INSERT INTO "runs" VALUES('remote','s3://bucket/census',250000000,'097a9da8823747d407c4fb49639b88bd6265ea5c2a8cc4abe499476b18eb7586','2026-11-26T03:57:59.130580+00:00',NULL,NULL);
COMMIT;
