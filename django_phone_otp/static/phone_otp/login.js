/* What scripts add to the login pages; everything works without. It decides nothing. */
"use strict";

(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // A form goes out once: a second press would use up a try, or the wait.
  const once = (form) => {
    form.addEventListener("submit", (event) => {
      if (form.ariaBusy === "true") event.preventDefault();
      form.ariaBusy = "true";
    });
    // Whoever comes back to the page may send it again.
    addEventListener("pageshow", () => { form.ariaBusy = "false"; });
  };

  // The wait for another message, said once it is over and not at each second.
  const countDown = (form) => {
    const line = form.querySelector("[data-phone-otp-countdown]");
    if (!line) return;
    const buttons = all("button", form);
    const end = Date.now() + form.dataset.phoneOtpResend * 1000;
    buttons.forEach((button) => { button.disabled = true; });
    const show = () => {
      const left = Math.ceil((end - Date.now()) / 1000);
      if (left > 0) {
        const time = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
        line.textContent = line.dataset.phoneOtpCountdown.replace("{time}", time);
        return;
      }
      clearInterval(timer);
      line.remove();
      buttons.forEach((button) => { button.disabled = false; });
      const said = form.querySelector("[data-phone-otp-ready]");
      said.textContent = said.dataset.phoneOtpReady;
    };
    const timer = setInterval(show, 1000);
    show();
  };

  // A code that arrives at once, pasted or filled in, is sent off; who types presses the button.
  const takeCode = (form) => {
    const input = form.elements.code;
    const length = Number(input.dataset.phoneOtpLength);
    let before = "";
    let isSent = false;
    const send = () => {
      if (isSent) return;
      isSent = true;
      form.requestSubmit();
    };
    const find = (text) => {
      const found = new Set((text.match(/\d+/g) || []).filter((run) => run.length === length));
      return found.size === 1 ? [...found][0] : "";
    };
    input.addEventListener("input", () => {
      const came = input.value.length - before.length;
      before = input.value;
      if (!length || came < 2) return;
      const code = find(input.value);
      if (!code) return;
      input.value = code;
      send();
    });
    if ("phoneOtpTexts" in form.dataset && "OTPCredential" in window) {
      const waiting = new AbortController();
      form.addEventListener("submit", () => waiting.abort());
      navigator.credentials
        .get({ otp: { transport: ["sms"] }, signal: waiting.signal })
        .then((found) => {
          if (!found || isSent) return;
          input.value = found.code;
          send();
        })
        .catch(() => {}); // refused, or typed
    }
  };

  // Ask now and then whether the call has come in, or what became of the message; at once when the
  // person is back. Of a message for a minute: then it has gone out, or the button helps.
  const wait = (line) => {
    const { phoneOtpStatus, phoneOtpNext, phoneOtpPage, phoneOtpSent } = line.dataset;
    const began = Date.now();
    let timer = 0;
    let isAsking = false;
    const later = () => {
      clearTimeout(timer);
      const isNew = Date.now() - began < 60000;
      if (document.hidden || (phoneOtpSent && !isNew)) return;
      timer = setTimeout(look, isNew ? 3000 : 6000);
    };
    const look = async () => {
      if (isAsking) return;
      isAsking = true;
      try {
        const response = await fetch(phoneOtpStatus, { headers: { Accept: "application/json" } });
        const { state, page } = await response.json();
        if ((state !== "sending" && state !== "sent") || (phoneOtpPage && page !== phoneOtpPage)) {
          location.assign(phoneOtpNext);
          return;
        }
        if (state === "sent" && phoneOtpSent) {
          line.textContent = phoneOtpSent;
          line.classList.remove("phone-otp-wait");
          document.removeEventListener("visibilitychange", comeBack);
          return;
        }
      } catch {
        // no network for a moment
      } finally {
        isAsking = false;
      }
      later();
    };
    const comeBack = () => {
      clearTimeout(timer);
      if (!document.hidden) look();
    };
    document.addEventListener("visibilitychange", comeBack);
    later();
  };

  all("form[data-phone-otp-once]").forEach(once);
  all("form[data-phone-otp-resend]").forEach(countDown);
  all("form[data-phone-otp-code]").forEach(takeCode);
  all("[data-phone-otp-status]").forEach(wait);
})();
