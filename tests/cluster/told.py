"""Runs in a container: what is published, in figures that are the same for the same pictures, as JSON."""

import hashlib
import json

import pyarrow.dataset
import pyarrow.parquet as pq

from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import DataRoot
from jobs.store.versions import open_index

root = DataRoot.from_env()
index = open_index(root)
index.verify(content=True)
manifest = index.manifest()
store = EmbeddingStore(root.embeddings / manifest["model"]["fingerprint"])
shards = sorted(store.folder.glob("shard-*.parquet"))
embedded = [id_ for shard in shards for id_ in pq.read_table(shard, columns=["id"])["id"].to_pylist()]
neighbours = pyarrow.dataset.dataset(index.neighbours).to_table().to_pandas().astype(str)
rows = sorted(map(tuple, neighbours.itertuples(index=False)))
files = [path for folder in (root.root, root.index) for path in folder.glob(".tmp-*")]
print(
    json.dumps(
        {
            "version": index.version,
            "images": manifest["images"],
            "embedded": len(embedded),
            "embedded once": len(set(embedded)),
            "packed": {
                name: told["crc32"]
                for name, told in manifest["files"].items()
                if name.startswith(("packed", "captions", "sketch"))
            },
            "neighbours": hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16],
            "half-written": [str(path) for path in files],
        }
    )
)
