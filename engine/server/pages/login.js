const form = document.getElementById('login')
form.addEventListener('submit', async (event) => {
  event.preventDefault()
  const said = Object.fromEntries(new FormData(form))
  const answer = await fetch('/api/login', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(said) })
  if (answer.ok) return location.replace('/')
  const told = await answer.json().catch(() => ({}))
  document.getElementById('wrong').textContent = told.error ?? `The server says ${answer.status}.`
})
