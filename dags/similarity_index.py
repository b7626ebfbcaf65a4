"""
### From pictures to look-alikes

Takes pictures and labels, embeds every picture with **ResNet-18**, hashes the embeddings with Spark's
**BucketedRandomProjectionLSH**, publishes the index, and answers *which pictures look most like this one?*
with a montage.

| task | does | leaves in the data root |
|---|---|---|
| `sources` | draws the sample, downloads Stanford Cars, or finds your folder | `sources/` |
| `catalog` | joins pictures and labels, sets unusable files aside with a reason | `catalog/catalog.parquet` |
| `changes` | compares with the last index; ends the run where nothing landed | |
| `embed` | resizes to 224 x 224 and embeds what is new | `resized/`, `embeddings/` |
| `vectors` | assembles one vector column (Spark) | `vectors/` |
| `calibrate` | chooses how to hash, for the recall to be reached (Spark) | `calibrations/` |
| `index` | fits the LSH model, hashes, measures the recall (Spark) | `index/<version>/` |
| `neighbours` | finds every picture's nearest neighbours (Spark) | `index/<version>/neighbours/` |
| `gallery` | lays them out for pages and look-ups | `index/<version>/gallery.db` |
| `report` | measures what the index is worth | `index/<version>/report.html`, `report.json` |
| `publish` | makes this the index that queries search, if it reaches its recall | `index/current` |
| `query` | finds the nearest neighbours of one picture (Spark) | `queries/<run>/neighbours.json` |
| `montage` | draws them | `queries/<run>/montage.png` |

Running it again computes only what is new. To search for another picture, run `similarity_query`.

**Pictures that land in `inbox/`** in the data root start a run by themselves, and so does the clock once a
night. Such a run repeats the params of the run that published last; where nothing is new, it ends early.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import (
    Asset,
    AssetOrTimeSchedule,
    AssetWatcher,
    CronTriggerTimetable,
    Metadata,
    chain,
    dag,
    get_current_context,
    task,
)
from airflow.sdk.exceptions import AirflowSkipException
from pydantic import JsonValue

from dags.params import INDEX_PARAMS
from dags.wiring import (
    ONLY_WHERE_IT_HELPS,
    linked,
    query_and_montage,
    result_of,
    spark_step,
    spark_submit,
)
from jobs.store.root import DataRoot
from plugins.inbox import InboxTrigger
from plugins.links import GalleryLink, ReportLink

# Neither a start date nor the hours after three may start a run as soon as the DAG is unpaused.
NIGHTLY = CronTriggerTimetable("0 3 * * *", timezone="UTC", run_immediately=timedelta(0))
INBOX = DataRoot.from_env().inbox
"""Read where the DAG is parsed: the triggerer watches the folder by this path."""

inbox = Asset(
    "lookalike_inbox",
    INBOX.as_uri(),
    watchers=[AssetWatcher("lookalike_inbox", InboxTrigger(str(INBOX)))],
)
published = Asset("lookalike_index", (INBOX.parent / "index" / "current").as_uri())
"""For DAGs of your own: updated by each published index, with version, size and recall as extra."""


def returned_by(task_id: str) -> dict[str, Any]:
    """In a task: what a task before returned. What a step works on comes from there, never from a pointer,
    so that a run goes on with its own things, whatever other runs do and whenever it is replayed."""
    returned: dict[str, Any] = get_current_context()["ti"].xcom_pull(task_ids=task_id)
    return returned


def asked_for() -> dict[str, Any]:
    """In a task: the params that the run was started with or repeats."""
    params: dict[str, Any] = returned_by("sources")["asked"]
    return params


def chosen(param: str) -> str:
    """The template of a param that the run was started with or repeats."""
    return f"{{{{ ti.xcom_pull(task_ids='sources')['asked']['{param}'] }}}}"


def model_of(asked: dict[str, Any]) -> Any:
    """The jobs.embedding.model.Model that a run embeds with."""
    from jobs.embedding.backbones import DEFAULT
    from jobs.embedding.model import Model
    from jobs.embedding.weights import find_weights

    is_sample = asked["source"] == "sample"
    weights = find_weights(
        asked["weights"], DEFAULT, random_if_unreachable=is_sample, patience_s=10 if is_sample else 60
    )
    return Model(DEFAULT, weights, asked["geometry"], asked["precision"])


@dag(
    dag_id="similarity_index",
    dag_display_name="Similarity index",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(timetable=NIGHTLY, assets=[inbox]),
    params=INDEX_PARAMS,
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
        from jobs.intake.listing import scan
        from jobs.sources import find_source
        from jobs.store.settings import published_settings

        context = get_current_context()
        asked, root = dict(context["params"]), DataRoot.from_env()
        if context["dag_run"].run_type != "manual":
            # Nobody started it: the last params are repeated, and nothing is downloaded unasked.
            asked |= published_settings(root) or {"source": "inbox"}
            if asked["source"] == "inbox" and not (root.inbox.is_dir() and scan(root.inbox)[0]):
                raise AirflowSkipException(f"Nothing new: no picture has landed in {root.inbox}.")
        source = find_source(
            asked["source"],
            root,
            directory=asked["folder"],
            label_rule=asked["label_rule"],
            with_test=asked["with_test"],
        )
        return {"asked": asked, "source": source.to_dict()}

    @task(task_id="catalog", execution_timeout=timedelta(hours=6))
    def catalog() -> dict[str, Any]:
        """Join pictures and labels; set aside what can't be used."""
        from jobs.catalog import build_catalog
        from jobs.intake.source import Source

        asked = asked_for()
        name, counts = build_catalog(
            Source.from_dict(returned_by("sources")["source"]),
            DataRoot.from_env(),
            limit=asked["limit"],
            max_quarantined=asked["max_quarantined"],
        )
        return {"catalog": name, **counts}

    # The weights may have to be downloaded.
    @task(
        task_id="changes",
        retries=2,
        retry_policy=ONLY_WHERE_IT_HELPS,
        execution_timeout=timedelta(hours=1),
    )
    def changes() -> dict[str, int]:
        """Compare with the last index; end a run that nobody asked for where nothing is new."""
        from jobs.changes import find_changes

        fingerprint = model_of(asked_for()).fingerprint
        changes = find_changes(DataRoot.from_env(), fingerprint, catalog=returned_by("catalog")["catalog"])
        if not changes.anything and get_current_context()["dag_run"].run_type != "manual":
            raise AirflowSkipException(f"Nothing new: index {changes.index} holds all that is there.")
        return {"new": changes.new, "gone": changes.gone, "renamed": changes.renamed}

    # What was embedded before a crash is kept, so a retry goes on from there.
    @task(
        task_id="embed",
        retries=2,
        retry_policy=ONLY_WHERE_IT_HELPS,
        execution_timeout=timedelta(hours=24),
    )
    def embed() -> dict[str, Any]:
        """Resize and embed what is new."""
        from jobs.embed import embed_catalog, engine_of

        asked, catalog = asked_for(), returned_by("catalog")["catalog"]
        model = model_of(asked)
        if asked["engine"] == "local":
            return embed_catalog(
                DataRoot.from_env(),
                model,
                engine_of("local", asked["runtime"]),
                max_quarantined=asked["max_quarantined"],
                catalog=catalog,
            )
        options = {name: asked[name] for name in ("engine", "geometry", "precision", "runtime")}
        options |= {"weights": model.weights.name, "max-quarantined": asked["max_quarantined"]}
        arguments = (f"--{name}={value}" for name, value in {**options, "catalog": catalog}.items())
        embedded: dict[str, Any] = spark_submit("embed", *arguments)
        return embedded

    @task(task_id="gallery", execution_timeout=timedelta(hours=1))
    def gallery() -> dict[str, str]:
        """Lay out pictures and neighbours for the pages that show them."""
        from jobs.gallery import lay_out_gallery

        return {"gallery": str(lay_out_gallery(DataRoot.from_env(), returned_by("index")["index_version"]))}

    @task(task_id="report", execution_timeout=timedelta(hours=6))
    def report() -> dict[str, str]:
        """Measure what the index is worth and tell it as a page."""
        from jobs.report import write_report

        return {"report": str(write_report(DataRoot.from_env(), returned_by("index")["index_version"]))}

    @task(task_id="publish", outlets=[published], execution_timeout=timedelta(hours=1))
    def publish() -> Any:
        """Let queries ask the new index, if it reaches its recall."""
        from jobs.publish import publish

        run = get_current_context()["dag_run"].run_id
        version = returned_by("index")["index_version"]
        index = publish(DataRoot.from_env(), version, run=run, settings=asked_for())
        manifest = index.manifest()
        measured = manifest["recall"]
        recall: dict[str, JsonValue] = {
            "k": measured["k"],
            "target": measured["target"],
            "measured": measured["measured"],
            "lower_bound": measured["lower_bound"],
        }
        yield Metadata(published, {"version": version, "images": manifest["images"], "recall": recall})

    version = result_of("index", "index_version")
    chain(
        sources(),
        catalog(),
        changes(),
        embed(),
        spark_step(
            "vectors",
            f"--catalog={result_of('embed', 'catalog')}",
            f"--fingerprint={result_of('embed', 'fingerprint')}",
            f"--format={chosen('format')}",
        ),
        spark_step(
            "calibrate",
            f"--vectors={result_of('vectors', 'vectors')}",
            f"--k={chosen('k')}",
            f"--recall={chosen('recall')}",
            f"--lsh-seed={chosen('lsh_seed')}",
        ),
        spark_step(
            "index",
            f"--vectors={result_of('vectors', 'vectors')}",
            f"--calibration={result_of('calibrate', 'calibration')}",
            f"--bucket-length={chosen('bucket_length')}",
            f"--num-hash-tables={chosen('num_hash_tables')}",
            f"--candidates={chosen('candidates')}",
        ),
        spark_step("neighbours", f"--index-version={version}"),
        linked(gallery(), GalleryLink()),
        linked(report(), ReportLink()),
        linked(publish(), GalleryLink()),
        query_and_montage(version),
    )


similarity_index()
