"""What galleries are loaded from: the records of our database, opened one batch at a time."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain.messages import Modality
from gateway.matching.engine import Batch
from gateway.store.engine import StorageEngine
from gateway.store.people import subjects
from keys.data_encryption import DataRing


class Gallery:
    """The Source that engines load from: records opened one batch at a time."""

    def __init__(self, database: StorageEngine, data_key: DataRing) -> None:
        self._database = database
        self._data_key = data_key

    def batches(self, modality: Modality, shard: int, of: int) -> Iterator[Batch]:
        """Yield the people of one shard, with their records of one modality opened."""
        for people in subjects.iter_records(self._database, self._data_key, modality, shard, of):
            yield [(one.subject, one.samples) for one in people]
