"""
### From pictures to look-alikes

Takes pictures and labels, embeds every picture with **ResNet-18**, hashes the embeddings with Spark's
**BucketedRandomProjectionLSH**, publishes the index, and answers *which pictures look most like this one?*
with a montage.

| task | does | leaves in the data root |
|---|---|---|
| `sources` | draws the sample, downloads Stanford Cars, or finds your folder | `sources/` |
| `catalog` | joins pictures and labels, quarantines unusable files | `catalog/catalog.parquet` |
| `changes` | compares with the last index; ends a scheduled run if nothing is new | |
| `embed` | resizes to 224 x 224 and embeds what is new | `resized/`, `embeddings/` |
| `vectors` | assembles one vector column (Spark) | `vectors/` |
| `calibrate` | chooses how to hash, to reach the recall (Spark) | `calibrations/` |
| `index` | fits the LSH model, hashes, measures the recall (Spark) | `index/<version>/` |
| `neighbours` | finds every picture's nearest neighbours (Spark) | `index/<version>/neighbours/` |
| `gallery` | prepares them for pages and look-ups | `index/<version>/gallery.db` |
| `report` | measures the quality of the index | `index/<version>/report.html`, `report.json` |
| `publish` | makes this the index that queries use, if it reaches its recall | `index/current` |
| `query` | finds the nearest neighbours of one picture (Spark) | `queries/<run>/neighbours.json` |
| `montage` | draws them | `queries/<run>/montage.png` |

When the run is green, **Lookalike** in the menu on the left shows the pictures, and its page **Find** the
look-alikes of a photo of yours, at once. Running it again computes only what is new.

**Pictures that land in `inbox/`** in the data root start a run automatically, and one starts every night.
Such a run repeats the params of the last run that published and asks about no picture; if nothing is new, it
ends early.
"""

from __future__ import annotations

from dataclasses import asdict
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
    DEFAULTS,
    RETRY_IF_IT_MAY_HELP,
    linked,
    query_and_montage,
    refuse_unknown_params,
    result_of,
    spark_step,
    spark_submit,
)
from jobs.base.options import MAX_REMOVED, REPLACE
from jobs.store.root import DataRoot
from plugins.inbox import InboxTrigger
from plugins.links import GalleryLink, ReportLink

# Unpausing the DAG must not start a run, whatever the hour.
NIGHTLY = CronTriggerTimetable("0 3 * * *", timezone="UTC", run_immediately=timedelta(0))
INBOX = DataRoot.from_env().inbox
"""Evaluated when the DAG is parsed; the triggerer watches this path."""

inbox = Asset(
    "lookalike_inbox",
    INBOX.as_uri(),
    watchers=[AssetWatcher("lookalike_inbox", InboxTrigger(str(INBOX)))],
)
published = Asset("lookalike_index", (INBOX.parent / "index" / "current").as_uri())
"""For your own DAGs: each published index updates it, with version, size and recall as extra."""


def returned_by(task_id: str) -> dict[str, Any]:
    """In a task: what an earlier task returned. A step's input comes from there, never from a pointer, so
    that a run works on its own data, whatever other runs do and whenever it is replayed."""
    returned: dict[str, Any] = get_current_context()["ti"].xcom_pull(task_ids=task_id)
    return returned


def run_params() -> dict[str, Any]:
    """In a task: the params that the run was started with or repeats."""
    params: dict[str, Any] = returned_by("sources")["asked"]
    return params


def chosen(param: str) -> str:
    """The template of a param that the run was started with or repeats."""
    return f"{{{{ ti.xcom_pull(task_ids='sources')['asked']['{param}'] }}}}"


def weights_of(params: dict[str, Any]) -> str:
    """The name of the weights that a run embeds with; a file is loaded once, to see that it can be."""
    from jobs.embedding.backbones import DEFAULT
    from jobs.embedding.weights import find_weights

    is_sample = params["source"] == "sample"
    weights = find_weights(
        params["weights"], DEFAULT, random_if_unreachable=is_sample, patience_s=10 if is_sample else 60
    )
    if weights.name not in ("imagenet", "random"):
        from jobs.embedding.network import load_network

        load_network(DEFAULT, weights)
    return weights.name


def model() -> Any:
    """In a task: the jobs.embedding.model.Model that the run embeds with."""
    from jobs.embedding.backbones import DEFAULT
    from jobs.embedding.model import Model
    from jobs.embedding.weights import find_weights

    params, weights = run_params(), find_weights(returned_by("sources")["weights"], DEFAULT)
    return Model(DEFAULT, weights, params["geometry"], params["precision"])


@dag(
    dag_id="similarity_index",
    dag_display_name="Similarity index",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(timetable=NIGHTLY, assets=[inbox]),
    params=INDEX_PARAMS,
    tags=["lookalike", "pytorch", "spark"],
    max_active_runs=1,
    default_args=DEFAULTS,
)
def similarity_index() -> None:
    # The step itself retries downloads; two retries much later outlast a longer outage.
    @task(
        task_id="sources",
        retries=2,
        retry_policy=RETRY_IF_IT_MAY_HELP,
        execution_timeout=timedelta(hours=6),
    )
    def sources() -> dict[str, Any]:
        """Draw, download or find the pictures, their labels and the network's weights."""
        from jobs.intake.listing import scan
        from jobs.sources import find_source, replaces_another
        from jobs.store.settings import published_settings

        context = get_current_context()
        refuse_unknown_params(context)
        params, root = dict(context["params"]), DataRoot.from_env()
        if context["dag_run"].run_type != "manual":
            # No person started it: repeat the last params, and without any, download nothing.
            settings = published_settings(root)
            params |= settings["params"] if settings else {"source": "inbox"}
            # What a person has let through once is not let through again.
            params |= {option.name: option.default for option in (MAX_REMOVED, REPLACE)}
            if params["source"] == "inbox" and not (root.inbox.is_dir() and scan(root.inbox).pictures):
                raise AirflowSkipException(f"Nothing new: no picture has landed in {root.inbox}.")
        if replaces_another(root, params):
            # All its pictures go, as the person wants.
            params["max_removed"] = 1.0
        source = find_source(
            params["source"],
            root,
            directory=params["folder"],
            label_rule=params["label_rule"],
            with_test=params["with_test"],
        )
        return {"asked": params, "weights": weights_of(params), "source": source.to_dict()}

    @task(task_id="catalog", execution_timeout=timedelta(hours=6))
    def catalog() -> dict[str, Any]:
        """Join pictures and labels; quarantine what can't be used."""
        from jobs.catalog import build_catalog
        from jobs.intake.source import Source

        params = run_params()
        name, counts = build_catalog(
            Source.from_dict(returned_by("sources")["source"]),
            DataRoot.from_env(),
            limit=params["limit"],
            max_quarantined=params["max_quarantined"],
            min_matched=params["min_matched"],
        )
        return {"catalog": name, **counts}

    @task(task_id="changes", execution_timeout=timedelta(hours=1))
    def changes() -> dict[str, int]:
        """Compare with the last index; end a scheduled run if nothing is new."""
        from jobs.changes import find_changes

        changes = find_changes(
            DataRoot.from_env(),
            model().fingerprint,
            catalog=returned_by("catalog")["catalog"],
            max_removed=run_params()["max_removed"],
        )
        if not changes.anything and get_current_context()["dag_run"].run_type != "manual":
            raise AirflowSkipException(f"Nothing new: index {changes.index} holds all pictures.")
        counts = asdict(changes)
        del counts["index"]
        return counts

    # What was embedded before a crash is kept, so a retry continues from there.
    @task(
        task_id="embed",
        retries=2,
        retry_policy=RETRY_IF_IT_MAY_HELP,
        execution_timeout=timedelta(hours=24),
    )
    def embed() -> dict[str, Any]:
        """Resize and embed what is new."""
        from jobs.embed import embed_catalog, engine_of

        params, catalog, network = run_params(), returned_by("catalog")["catalog"], model()
        if params["engine"] == "local":
            return embed_catalog(
                DataRoot.from_env(),
                network,
                engine_of("local", params["runtime"]),
                max_quarantined=params["max_quarantined"],
                catalog=catalog,
            )
        options = {name: params[name] for name in ("engine", "geometry", "precision", "runtime")}
        options |= {"weights": network.weights.name, "max-quarantined": params["max_quarantined"]}
        arguments = (f"--{name}={value}" for name, value in {**options, "catalog": catalog}.items())
        embedded: dict[str, Any] = spark_submit("embed", *arguments)
        return embedded

    @task(task_id="gallery", execution_timeout=timedelta(hours=1))
    def gallery() -> dict[str, str]:
        """Prepare pictures and neighbours for the pages that show them."""
        from jobs.gallery import lay_out_gallery

        return {"gallery": str(lay_out_gallery(DataRoot.from_env(), returned_by("index")["index_version"]))}

    @task(task_id="report", execution_timeout=timedelta(hours=6))
    def report() -> dict[str, str]:
        """Measure the quality of the index and write it as a page."""
        from jobs.report import write_report

        return {"report": str(write_report(DataRoot.from_env(), returned_by("index")["index_version"]))}

    @task(task_id="publish", outlets=[published], execution_timeout=timedelta(hours=1))
    def publish() -> Any:
        """Make queries use the new index, if it reaches its recall."""
        from jobs.publish import publish
        from jobs.store.catalog import read_catalog, usable_by_split

        run = get_current_context()["dag_run"].run_id
        version = returned_by("index")["index_version"]
        root = DataRoot.from_env()
        splits = usable_by_split(read_catalog(root, returned_by("embed")["catalog"]))
        index = publish(root, version, run=run, settings={"params": run_params(), "splits": splits})
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
            "Assemble one vector per picture, and its label.",
            f"--catalog={result_of('embed', 'catalog')}",
            f"--fingerprint={result_of('embed', 'fingerprint')}",
            f"--format={chosen('format')}",
        ),
        spark_step(
            "calibrate",
            "Choose how to hash the vectors so that a search finds the recall; or keep the last choice.",
            f"--vectors={result_of('vectors', 'vectors')}",
            f"--recall={chosen('recall')}",
            f"--recall-at={chosen('recall_at')}",
            f"--lsh-seed={chosen('lsh_seed')}",
        ),
        spark_step(
            "index",
            "Fit the LSH model, hash every vector, and measure the recall of searches.",
            f"--vectors={result_of('vectors', 'vectors')}",
            f"--calibration={result_of('calibrate', 'calibration')}",
            f"--bucket-length={chosen('bucket_length')}",
            f"--num-hash-tables={chosen('num_hash_tables')}",
            f"--candidates={chosen('candidates')}",
        ),
        spark_step(
            "neighbours",
            "Find every picture's nearest neighbours, which the pages show.",
            f"--index-version={version}",
        ),
        linked(gallery(), GalleryLink()),
        linked(report(), ReportLink()),
        linked(publish(), GalleryLink()),
        query_and_montage(version, asked=True),
    )


similarity_index()
