// Follows an animation job on the server from its start to its end.

import {readAnimation, ServerGone} from "./api.js";
import {onReconnect, reportLost} from "./connection.js";

const END_STATES = ["done", "failed", "cancelled"];

/** The finished job; `onChange` gets each of its states. Resumes after the server was gone for a while. */
export async function followJob(job, onChange) {
  while (!END_STATES.includes(job.state)) {
    try {
      job = await readEvents(job, onChange);
    } catch (error) {
      if (!(error instanceof ServerGone)) throw error;
      job = await readAgain(job);
      onChange(job);
    }
  }
  return job;
}

/** The job as it is now, after its events broke off. */
async function readAgain(job) {
  await new Promise(done => setTimeout(done, 1000));
  try {
    return await readAnimation(job.id);
  } catch (error) {
    if (!(error instanceof ServerGone)) throw error;
    reportLost();
    await new Promise(onReconnect);
    return job;
  }
}

function readEvents(job, onChange) {
  return new Promise((resolve, reject) => {
    const events = new EventSource(`/v1/animations/${job.id}/events`);
    for (const name of ["progress", ...END_STATES]) {
      events.addEventListener(name, event => {
        const now = JSON.parse(event.data);
        onChange(now);
        if (!END_STATES.includes(now.state)) return;
        events.close();
        resolve(now);
      });
    }
    events.onerror = () => {
      events.close();
      reject(new ServerGone());
    };
  });
}
