// Times and words for people, in their language and time zone where the browser knows them.

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const SHORT_DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

/** The presence values, as people say them. */
export const STATUSES = {
  online: 'Online',
  away: 'Away',
  busy: 'Busy',
  on_call: 'On a call',
  do_not_disturb: 'Do not disturb',
  offline: 'Offline',
};

/** How calls end, as people say it. */
export const OUTCOMES = {
  answered: 'Answered',
  abandoned: 'Caller gave up',
  missed: 'Missed',
  timeout: 'Waited too long',
  left_queue: 'Left the queue',
  failed: 'Failed',
  unknown: 'Ended',
};

export function clock(time) {
  return CLOCK.format(new Date(time));
}

export function full(time) {
  return FULL.format(new Date(time));
}

/** Which day, for the line between messages. */
export function day(time) {
  const then = new Date(time);
  if (isToday(then)) return 'Today';
  return DAY.format(then);
}

/** For lists: the clock today, the day before that. */
export function brief(time) {
  const then = new Date(time);
  return isToday(then) ? CLOCK.format(then) : SHORT_DAY.format(then);
}

/** A day and a time, for what is planned. */
export function moment(time) {
  const then = new Date(time);
  return `${isToday(then) ? 'today' : SHORT_DAY.format(then)}, ${CLOCK.format(then)}`;
}

/** `4:05`, `1:02:03`; clocks that differ never show less than nothing. */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const two = (number) => String(number).padStart(2, '0');
  const tail = `${two(seconds % 60)}`;
  return hours ? `${hours}:${two(minutes)}:${tail}` : `${minutes}:${tail}`;
}

/** `Olena`, `Olena and Ivan`, `Olena, Ivan and 3 others`. */
export function names(people) {
  if (people.length <= 1) return people.join('');
  if (people.length === 2) return `${people[0]} and ${people[1]}`;
  if (people.length === 3) return `${people[0]}, ${people[1]} and ${people[2]}`;
  return `${people[0]}, ${people[1]} and ${people.length - 2} others`;
}

/** Counts are capped by the server at 100. */
export function count(number) {
  return number >= 100 ? '99+' : String(number);
}

function isToday(date) {
  return date.toDateString() === new Date().toDateString();
}
