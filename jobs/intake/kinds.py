"""What lies among pictures and is none: by the names of folders and of files."""

from __future__ import annotations

from fnmatch import fnmatch

PICTURE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".heic", ".heif", ".hif", ".avif"),
    )
)

LABELS_FILE = "labels.csv"
LABELS_BELOW = "label files in sub-folders"
LABELS_OTHER = "label files of another kind"
_LABELS_OTHER = frozenset(f"labels{suffix}" for suffix in (".tsv", ".txt", ".xlsx", ".xls", ".ods", ".json"))

_FOLDERS = {
    "folders of thumbnails": ("@eadir", "@__thumb", "@transcode", ".@__thumb", "ipod photo cache"),
    "recycle bins": ("$recycle.bin", "#recycle", "@recycle", "recycler", "recycled", "network trash folder"),
    "snapshots of a disk": ("#snapshot", "@recently-snapshot", "@snapshot", "~snapshot"),
    "libraries of photo programs": (
        *("*.photoslibrary", "*.photolibrary", "*.migratedphotolibrary", "*.aplibrary"),
        *("*.lrdata", "*.lrlibrary", "*.lrcat-data"),
    ),
    "folders of an operating system": (
        *("__macosx", "lost+found", "system volume information", "temporary items"),
        "found.[0-9][0-9][0-9]",
    ),
    "folders of programs": ("node_modules",),
    "folders of a NAS": ("@synoresource", "@tmp", "@appstore", "@sharebin"),
}
"""Kind -> patterns of names, in lower case. What they hold are copies, or deleted."""

_CONVERT = "convert them to JPEG"
_FILES = {
    "JPEG XL pictures": (_CONVERT, (".jxl",)),
    "JPEG 2000 pictures": (_CONVERT, (".jp2", ".j2k", ".jpf", ".jpx", ".jpc")),
    "RAW pictures": (
        "export them as JPEG from the program that develops them",
        (
            *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf"),
            *(".orf", ".rw2", ".rwl", ".pef", ".srw", ".x3f", ".3fr", ".iiq"),
        ),
    ),
    "drawings and documents": ("export them as PNG", (".svg", ".psd", ".xcf", ".ai", ".eps", ".pdf")),
    "videos": (
        "take still frames out of them",
        (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".3gp", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv"),
    ),
}
"""Kind -> what to do, and suffixes."""

_BY_SUFFIX = {suffix: kind for kind, (_, suffixes) in _FILES.items() for suffix in suffixes}

OTHER = "other files"


def kind_of_folder(name: str) -> str | None:
    """What the folder is, if pictures in it are not taken in."""
    lower = name.lower()
    return next(
        (kind for kind, names in _FOLDERS.items() if any(fnmatch(lower, each) for each in names)), None
    )


def kind_of_file(name: str, suffix: str) -> str:
    """What a file that isn't taken in is by its name and its ``suffix``, in lower case with its dot."""
    return LABELS_OTHER if name.lower() in _LABELS_OTHER else _BY_SUFFIX.get(suffix, OTHER)


def remedy_of(kind: str) -> str:
    """What to do about files or folders of ``kind``; empty if there is nothing to do."""
    if kind == LABELS_BELOW:
        return f"move their rows into the {LABELS_FILE} at the top"
    if kind == LABELS_OTHER:
        return f"save its rows as {LABELS_FILE}"
    return _FILES[kind][0] if kind in _FILES else ""
