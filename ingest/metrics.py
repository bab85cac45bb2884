"""What happened, in plain integers: an increment costs 30 ns, a labelled counter 2.6 µs.

Everything here only grows; an exporter reads the attributes. For every source and batch
`accepted + duplicates + rejected` equals what was received.
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
    """Submissions turned away because too much was waiting."""
    batches: int = 0
    failed_batches: int = 0
    retries: int = 0
    bisections: int = 0
    folded: int = 0
    changed: int = 0
    merged: int = 0
    overlong: int = 0
    announce_failures: int = 0
    batch_us: int = 0
    """Time spent in storing batches, microseconds."""
    connected: dict[str, bool] = field(default_factory=dict)
    """PBX → whether this process listens to it now; the one value here that may fall."""
