// Idle detection: a window is away when it is hidden for 1 minute, or unused for 5.

const HIDDEN_MS = 60_000; // people switch windows for a moment
const IDLE_MS = 300_000;
const ACTIVITY_EVENTS = ['pointermove', 'pointerdown', 'keydown', 'wheel', 'touchstart'];

/**
 * Call report(away) whenever that changes.
 * @param {(away: boolean) => void} report
 * @param {{hiddenMs?: number, idleMs?: number}} [after]
 * @returns {() => void} stops watching
 */
export function watchIdle(report, { hiddenMs = HIDDEN_MS, idleMs = IDLE_MS } = {}) {
  let timer = 0;
  let lastActivity = Date.now();
  let isAway = false;

  const setAway = (now) => {
    if (now !== isAway) report((isAway = now));
  };
  const check = () => {
    const left = lastActivity + (document.hidden ? hiddenMs : idleMs) - Date.now();
    clearTimeout(timer);
    if (left > 0) timer = setTimeout(check, left);
    setAway(left <= 0);
  };
  const onActivity = () => {
    lastActivity = Date.now(); // a mouse moves often: no more work than this
    if (isAway) check();
  };
  const onVisibility = () => {
    lastActivity = Date.now(); // hidden: the minute begins; shown: somebody is here
    check();
  };

  for (const type of ACTIVITY_EVENTS) document.addEventListener(type, onActivity, { passive: true, capture: true });
  document.addEventListener('visibilitychange', onVisibility);
  check();
  return () => {
    clearTimeout(timer);
    for (const type of ACTIVITY_EVENTS) document.removeEventListener(type, onActivity, { capture: true });
    document.removeEventListener('visibilitychange', onVisibility);
  };
}
