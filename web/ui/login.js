/** Signing in, when the server asks who one is. */

import { html, useRef, useState } from '../vendor/preact.js';
import { ApiError } from '../net/api.js';
import { Modal } from './dialogs.js';

/** @param {{app: any, done: (value?: any) => void}} props */
export function Login({ app, done }) {
  const { t } = app;
  const [wrong, setWrong] = useState('');
  const form = useRef(/** @type {any} */ (null));
  const submit = async (/** @type {any} */ event) => {
    event.preventDefault();
    const data = new FormData(form.current);
    try {
      await app.api.send('/login', { name: data.get('name'), password: data.get('password') });
      done(true);
      location.reload();
    } catch (error) {
      setWrong(error instanceof ApiError && error.status === 401 ? t('login.wrong') : error instanceof Error ? error.message : String(error));
    }
  };
  return html`<${Modal} app=${app} title=${t('login.title')} done=${() => {}} class="small" bare=${true}>
    <form class="login" ref=${form} onSubmit=${submit}>
      <p class="login-head"><img src="icon.svg" width="36" height="36" alt="" /><b>Latent Loom</b></p>
      <label>${t('login.name')}<input class="field" name="name" type="text" autocomplete="username" required autofocus /></label>
      <label>${t('login.password')}<input class="field" name="password" type="password" autocomplete="current-password" required /></label>
      ${wrong ? html`<p class="login-wrong" role="alert">${wrong}</p>` : null}
      <button type="submit" class="button primary big">${t('login.go')}</button>
    </form>
  <//>`;
}
