// Whether anybody is looking: a window long hidden, or in which long nobody did anything, is away.

const HIDDEN_MS = 60_000; // switching windows is not leaving
const IDLE_MS = 300_000;
const DEEDS = ['pointermove', 'pointerdown', 'keydown', 'wheel', 'touchstart'];

/**
 * Tell away() whenever that changes.
 * @param {(away: boolean) => void} away
 * @param {{hiddenMs?: number, idleMs?: number}} [after]
 * @returns {() => void} stops watching
 */
export function watchIdle(away, { hiddenMs = HIDDEN_MS, idleMs = IDLE_MS } = {}) {
  let timer = 0;
  let lastDeed = Date.now();
  let isAway = false;

  const become = (now) => {
    if (now !== isAway) away((isAway = now));
  };
  const look = () => {
    const left = lastDeed + (document.hidden ? hiddenMs : idleMs) - Date.now();
    clearTimeout(timer);
    if (left > 0) timer = setTimeout(look, left);
    become(left <= 0);
  };
  const deed = () => {
    lastDeed = Date.now(); // a mouse moves often: while somebody is here, that is all it costs
    if (isAway) look();
  };
  const turned = () => {
    lastDeed = Date.now(); // hidden, the minute begins; shown, somebody looks
    look();
  };

  for (const type of DEEDS) document.addEventListener(type, deed, { passive: true, capture: true });
  document.addEventListener('visibilitychange', turned);
  look();
  return () => {
    clearTimeout(timer);
    for (const type of DEEDS) document.removeEventListener(type, deed, { capture: true });
    document.removeEventListener('visibilitychange', turned);
  };
}
