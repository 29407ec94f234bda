const WORDS = {
  en: { name: 'Name', password: 'Password', go: 'Log in', wrong: 'Name or password is wrong.', many: 'Too many attempts. Try again in {n} s.', other: 'The server says {n}.', away: 'The server does not answer.' },
  ru: { name: 'Имя', password: 'Пароль', go: 'Войти', wrong: 'Имя или пароль неверны.', many: 'Слишком много попыток. Повторите через {n} с.', other: 'Сервер отвечает: {n}.', away: 'Сервер не отвечает.' },
}
const language = navigator.language.startsWith('ru') ? 'ru' : 'en'
const words = WORDS[language]
document.documentElement.lang = language
for (const place of document.querySelectorAll('[data-word]')) place.textContent = words[place.dataset.word]

const form = document.getElementById('login')
const wrong = document.getElementById('wrong')

/** Where one wanted to go: a place on this server, and no other. */
function after() {
  const next = new URLSearchParams(location.search).get('next') ?? '/'
  const url = new URL(next, location.origin)
  return next.startsWith('/') && url.origin === location.origin ? url.pathname + url.search : '/'
}

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  wrong.textContent = ''
  const said = Object.fromEntries(new FormData(form))
  const answer = await fetch('/api/login', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(said) }).catch(() => null)
  if (answer?.ok) return location.replace(after())
  const text = !answer ? words.away : answer.status === 401 ? words.wrong : answer.status === 429 ? words.many : words.other
  wrong.textContent = text.replace('{n}', answer?.status === 429 ? answer.headers.get('Retry-After') : answer?.status)
  form.elements.password.select()
})
