"""
### From pictures to look-alikes

Takes pictures and labels, embeds every picture with **ResNet-18**, hashes the embeddings with Spark's
**BucketedRandomProjectionLSH**, publishes the index, and answers *which pictures look most like this one?*
with a montage.

| task | does | leaves in the data root |
|---|---|---|
| `sources` | draws the sample, downloads Stanford Cars, or finds your folder | `sources/` |
| `catalog` | joins pictures and labels, sets unusable files aside with a reason | `catalog/catalog.parquet` |
| `embed` | resizes to 224 x 224 and embeds what is new | `resized/`, `embeddings/` |
| `vectors` | assembles one vector column (Spark) | `vectors/` |
| `calibrate` | chooses how to hash, for the recall asked for (Spark) | `calibrations/` |
| `index` | fits the LSH model, hashes, measures the recall (Spark) | `index/<version>/` |
| `neighbours` | finds every picture's nearest neighbours (Spark) | `index/<version>/neighbours/` |
| `report` | tells what the index is worth | `index/<version>/report.html`, `report.json` |
| `publish` | lets queries ask this index, if it reaches its recall | `index/current` |
| `query` | finds the nearest neighbours of one picture (Spark) | `queries/<run>/neighbours.json` |
| `montage` | draws them | `queries/<run>/montage.png` |

Running it again computes only what is new. To ask about another picture, run `similarity_query`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, chain, dag, get_current_context, task

from dags.wiring import (
    ONLY_WHERE_IT_HELPS,
    QUERY_PARAMS,
    query_and_montage,
    spark_step,
    spark_submit,
)

PARAMS = {
    "source": Param(
        "sample",
        type="string",
        enum=["sample", "stanford_cars", "folder"],
        values_display={
            "sample": "Sample: cars drawn by the project",
            "stanford_cars": "Stanford Cars: downloaded from Kaggle",
            "folder": "A folder of my own",
        },
        title="Pictures",
        section="Pictures",
    ),
    "folder": Param(
        None,
        type=["null", "string"],
        title="Folder",
        description_md="For *a folder of my own*: its path on the machine that runs the tasks.",
        section="Pictures",
    ),
    "label_rule": Param(
        "auto",
        type="string",
        enum=["auto", "csv", "class_folders", "none"],
        values_display={
            "auto": "labels.csv if there is one, else class folders",
            "csv": "labels.csv in the folder",
            "class_folders": "the name of the folder a picture lies in",
            "none": "no labels",
        },
        title="Labels of my folder",
        section="Pictures",
    ),
    "with_test": Param(
        False,
        type="boolean",
        title="Take in the test split",
        description_md="Stanford Cars: 8,041 more pictures, without labels.",
        section="Pictures",
    ),
    "limit": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Limit",
        description_md="Take this many pictures of each split, the same ones each time. Empty: all.",
        section="Pictures",
    ),
    "max_quarantined": Param(
        0.2,
        type="number",
        minimum=0,
        maximum=1,
        title="Quarantined at most",
        description_md="Share of unusable pictures above which the run fails.",
        section="Pictures",
    ),
    "weights": Param(
        "imagenet",
        type="string",
        minLength=1,
        examples=["imagenet", "random"],
        title="Weights",
        description_md="`imagenet`, `random`, or the path of a ResNet-18 state dict.",
        section="Embedding",
    ),
    "geometry": Param(
        "squash",
        type="string",
        enum=["squash", "crop", "pad"],
        title="Geometry",
        description_md="How a picture becomes 224 x 224: both sides squashed, centre crop, or padded.",
        section="Embedding",
    ),
    "precision": Param(
        "fp32",
        type="string",
        enum=["fp32", "bf16"],
        values_display={"fp32": "fp32", "bf16": "bf16: twice as fast, a little coarser"},
        title="Precision",
        section="Embedding",
    ),
    "engine": Param(
        "local",
        type="string",
        enum=["local", "spark"],
        values_display={"local": "local: the machine that runs the task", "spark": "spark: the cluster"},
        title="Embed on",
        section="Embedding",
    ),
    "runtime": Param(
        "auto",
        type="string",
        enum=["auto", "openvino", "torch"],
        values_display={
            "auto": "auto: PyTorch on a GPU, else OpenVINO",
            "openvino": "openvino: on the processor",
            "torch": "torch: plain PyTorch",
        },
        title="Runtime",
        section="Embedding",
    ),
    "format": Param(
        "parquet",
        type="string",
        enum=["parquet", "csv"],
        title="Read embeddings from",
        section="Embedding",
    ),
    "recall": Param(
        0.95,
        type="number",
        exclusiveMinimum=0,
        exclusiveMaximum=1,
        title="Recall",
        description_md="Share of the true nearest neighbours to find. Below it the index is not published.",
        section="LSH",
    ),
    "bucket_length": Param(
        None,
        type=["null", "number"],
        exclusiveMinimum=0,
        title="Bucket length",
        description_md="Width of a hash bucket. Empty: chosen by calibration.",
        section="LSH",
    ),
    "num_hash_tables": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        maximum=512,
        title="Hash tables",
        description_md="Empty: chosen by calibration.",
        section="LSH",
    ),
    "refined": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Candidates refined",
        description_md="How many pictures a query compares truly. Empty: as many as the recall needs.",
        section="LSH",
    ),
    "lsh_seed": Param(42, type="integer", minimum=0, title="Seed of the hash tables", section="LSH"),
    **QUERY_PARAMS,
}


@dag(
    dag_id="similarity_index",
    dag_display_name="Similarity index",
    doc_md=__doc__,
    schedule=None,
    params=PARAMS,
    tags=["lookalike", "pytorch", "spark"],
    max_active_runs=1,
    default_args={"retries": 0},
)
def similarity_index() -> None:
    # Downloads are retried by the step itself; two more tries much later outlast a longer outage.
    @task(
        task_id="sources",
        retries=2,
        retry_policy=ONLY_WHERE_IT_HELPS,
        execution_timeout=timedelta(hours=6),
    )
    def sources() -> dict[str, Any]:
        """Draw, download or find the pictures and their labels."""
        from jobs.paths import DataRoot
        from jobs.sources.__main__ import find_source

        params = get_current_context()["params"]
        source = find_source(
            params["source"],
            DataRoot.from_env(),
            directory=params["folder"],
            label_rule=params["label_rule"],
            with_test=params["with_test"],
        )
        return source.to_dict()

    @task(task_id="catalog", execution_timeout=timedelta(hours=6))
    def catalog(source: dict[str, Any]) -> dict[str, int]:
        """Join pictures and labels; set aside what can't be used."""
        from jobs.catalog import build_catalog
        from jobs.paths import DataRoot
        from jobs.sources import Source

        params = get_current_context()["params"]
        return build_catalog(
            Source.from_dict(source),
            DataRoot.from_env(),
            limit=params["limit"],
            max_quarantined=params["max_quarantined"],
        )

    # What was embedded before a crash is kept, so a retry goes on from there.
    @task(
        task_id="embed",
        retries=2,
        retry_policy=ONLY_WHERE_IT_HELPS,
        execution_timeout=timedelta(hours=24),
    )
    def embed() -> dict[str, str]:
        """Resize and embed what is new."""
        from jobs.embed import embed_catalog
        from jobs.engines import engine_of
        from jobs.model import Model
        from jobs.paths import DataRoot
        from jobs.weights import find_weights

        params = get_current_context()["params"]
        is_sample = params["source"] == "sample"
        weights = find_weights(
            params["weights"], random_if_unreachable=is_sample, patience_s=10 if is_sample else 60
        )
        model = Model(weights, params["geometry"], params["precision"])
        if params["engine"] == "local":
            engine = engine_of("local", params["runtime"])
            embed_catalog(DataRoot.from_env(), model, engine, max_quarantined=params["max_quarantined"])
        else:
            options = {name: params[name] for name in ("engine", "geometry", "precision", "runtime")}
            options |= {"weights": weights.name, "max-quarantined": params["max_quarantined"]}
            spark_submit("embed", *(f"--{name}={value}" for name, value in options.items()))
        return {"fingerprint": model.fingerprint, "weights": weights.name}

    @task(task_id="report", execution_timeout=timedelta(hours=6))
    def report() -> dict[str, str]:
        """Measure what the index is worth and tell it as a page."""
        from jobs.paths import DataRoot
        from jobs.report import write_report

        page = write_report(DataRoot.from_env())
        return {"report": str(page)}

    @task(task_id="publish", execution_timeout=timedelta(hours=1))
    def publish() -> dict[str, str]:
        """Let queries ask the new index, if it reaches its recall."""
        from jobs.paths import DataRoot
        from jobs.publish import publish

        return {"version": publish(DataRoot.from_env()).version}

    chain(
        catalog(sources()),  # type: ignore[arg-type]  # what it gets when it runs is the dict
        embed(),
        spark_step(
            "vectors",
            "--fingerprint={{ ti.xcom_pull(task_ids='embed')['fingerprint'] }}",
            "--format={{ params.format }}",
        ),
        spark_step(
            "calibrate",
            "--k={{ params.k }}",
            "--target={{ params.recall }}",
            "--seed={{ params.lsh_seed }}",
        ),
        spark_step(
            "index",
            "--bucket-length={{ params.bucket_length }}",
            "--num-hash-tables={{ params.num_hash_tables }}",
            "--refined={{ params.refined }}",
        ),
        spark_step("neighbours"),
        report(),
        publish(),
        query_and_montage(),
    )


similarity_index()
