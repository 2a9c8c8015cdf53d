// Listeners by the name of their event.

/** Reports an error of the application without stopping what is being done for it. */
function report(error) {
  setTimeout(() => {
    throw error;
  });
}

/** Calls every listener. One that throws stops neither the others nor the connection. */
export function callAll(listeners, self, args) {
  for (const listener of listeners.slice()) {
    try {
      listener.apply(self, args);
    } catch (error) {
      report(error);
    }
  }
}

/** `on`, `once`, `off`, `emit`, and the older names of the same. */
export class Emitter {
  #listeners = new Map();

  on(event, listener) {
    this.#listeners.set(`${event}`, [...this.listeners(event), listener]);
    return this;
  }

  once(event, listener) {
    const once = (...args) => {
      this.off(event, once);
      listener.apply(this, args);
    };
    once.listener = listener;
    return this.on(event, once);
  }

  /** Forgets one listener, all of an event, or all. */
  off(event, listener) {
    if (event === undefined) {
      this.#listeners.clear();
      return this;
    }
    const left = this.listeners(event);
    const found = left.findIndex((one) => one === listener || one.listener === listener);
    if (found >= 0) left.splice(found, 1);
    if (listener && left.length > 0) this.#listeners.set(`${event}`, left);
    else this.#listeners.delete(`${event}`);
    return this;
  }

  emit(event, ...args) {
    callAll(this.listeners(event), this, args);
    return this;
  }

  /** A copy, in the order in which they are called. */
  listeners(event) {
    return [...(this.#listeners.get(`${event}`) || [])];
  }

  hasListeners(event) {
    return this.listeners(event).length > 0;
  }
}

const emitterMethods = Emitter.prototype;
emitterMethods.addEventListener = emitterMethods.on;
emitterMethods.removeListener = emitterMethods.off;
emitterMethods.removeAllListeners = emitterMethods.off;
emitterMethods.removeEventListener = emitterMethods.off;
