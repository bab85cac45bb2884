// Times, counts and names as text, in the browser's language and time zone.

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const SHORT_DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

/** The texts for presence values. */
export const STATUSES = {
  online: 'Online',
  away: 'Away',
  busy: 'Busy',
  on_call: 'On a call',
  do_not_disturb: 'Do not disturb',
  offline: 'Offline',
};

/** The texts for outcomes of calls. */
export const OUTCOMES = {
  answered: 'Answered',
  voicemail: 'Voicemail',
  abandoned: 'Caller hung up',
  missed: 'Missed',
  timeout: 'Waiting time exceeded',
  left_queue: 'Left the queue',
  failed: 'Failed',
  unknown: 'Ended, outcome unknown',
};

export function formatTime(time) {
  return CLOCK.format(new Date(time));
}

export function formatFull(time) {
  return FULL.format(new Date(time));
}

/** The day, for the line between messages. */
export function formatDay(time) {
  const then = new Date(time);
  if (isToday(then)) return 'Today';
  return DAY.format(then);
}

/** For lists: the time for today, else the day. */
export function formatBrief(time) {
  const then = new Date(time);
  return isToday(then) ? CLOCK.format(then) : SHORT_DAY.format(then);
}

/** Day and time of a scheduled message. */
export function formatMoment(time) {
  const then = new Date(time);
  return `${isToday(then) ? 'today' : SHORT_DAY.format(then)}, ${CLOCK.format(then)}`;
}

/** `4:05`, `1:02:03`; never negative, also when clocks differ. */
export function formatDuration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const two = (number) => String(number).padStart(2, '0');
  const tail = `${two(seconds % 60)}`;
  return hours ? `${hours}:${two(minutes)}:${tail}` : `${minutes}:${tail}`;
}

/** `Olena`, `Olena and Ivan`, `Olena, Ivan and 3 others`. */
export function joinNames(people) {
  if (people.length <= 1) return people.join('');
  if (people.length === 2) return `${people[0]} and ${people[1]}`;
  if (people.length === 3) return `${people[0]}, ${people[1]} and ${people[2]}`;
  return `${people[0]}, ${people[1]} and ${people.length - 2} others`;
}

/** The gateway counts up to 100. */
export function formatCount(number) {
  return number >= 100 ? '99+' : String(number);
}

function isToday(date) {
  return date.toDateString() === new Date().toDateString();
}

/** An absolute address of the web, or null: a link of any other kind could run a script. */
export function webAddress(text) {
  try {
    const address = new URL(text);
    return ['http:', 'https:'].includes(address.protocol) ? address.href : null;
  } catch {
    return null;
  }
}
