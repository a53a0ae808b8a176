// An animation as the server makes it, from its start to its end.

import {readAnimation, ServerGone} from "./api.js";
import {lose, whenBack} from "./connection.js";

const ENDED = ["done", "failed", "cancelled"];

/** A job at its end; `told` is called with each of its states. Goes on where the server was gone for a while. */
export async function followed(job, told) {
  while (!ENDED.includes(job.state)) {
    try {
      job = await eventsOf(job, told);
    } catch (error) {
      if (!(error instanceof ServerGone)) throw error;
      job = await askedAgain(job);
      told(job);
    }
  }
  return job;
}

/** Where the events broke off: the job as it is now, once the server says so. */
async function askedAgain(job) {
  await new Promise(done => setTimeout(done, 1000));
  try {
    return await readAnimation(job.id);
  } catch (error) {
    if (!(error instanceof ServerGone)) throw error;
    lose();
    await new Promise(whenBack);
    return job;
  }
}

function eventsOf(job, told) {
  return new Promise((done, broken) => {
    const events = new EventSource(`/v1/animations/${job.id}/events`);
    for (const name of ["progress", ...ENDED]) {
      events.addEventListener(name, event => {
        const now = JSON.parse(event.data);
        told(now);
        if (!ENDED.includes(now.state)) return;
        events.close();
        done(now);
      });
    }
    events.onerror = () => {
      events.close();
      broken(new ServerGone());
    };
  });
}
