"""Counters of ingest as plain integers: an increment costs 30 ns, a labelled counter 2.6 µs.

storing, pipeline, connectors ─▶ IngestMetrics ─▶ the exporter of the embedding program, which reads
the attributes. Counters only grow. For every source and batch, `accepted + duplicates + rejected`
equals the number of events received.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class IngestMetrics:
    received: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    refused: int = 0
    """Submissions refused because too much was waiting to be stored."""
    batches: int = 0
    failed_batches: int = 0
    retries: int = 0
    bisections: int = 0
    folded: int = 0
    changed: int = 0
    merged: int = 0
    overused: int = 0
    """Events of calls whose keys look like ones that are used again and again."""
    announce_failures: int = 0
    batch_us: int = 0
    """Time spent storing batches, in microseconds."""
    connected: dict[str, bool] = field(default_factory=dict)
    """PBX → whether this process is connected to it now; the one value here that may fall."""
