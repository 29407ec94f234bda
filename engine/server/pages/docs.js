// Shows /openapi.json as a page; needs nothing from elsewhere.
const answer = await fetch('/openapi.json')
const api = answer.ok ? await answer.json() : { info: { description: `Cannot be shown (${answer.status}).` }, paths: {}, components: { schemas: {} } }
document.getElementById('about').textContent = api.info.description

const make = (tag, props = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), props)
  element.append(...children.filter((child) => child !== null))
  return element
}

/** The schema with references replaced, each one once. */
function opened(schema, seen = []) {
  if (Array.isArray(schema)) return schema.map((entry) => opened(entry, seen))
  if (!schema || typeof schema !== 'object') return schema
  const name = schema.$ref?.split('/').pop()
  if (name) return seen.includes(name) ? name : opened(api.components.schemas[name] ?? {}, [...seen, name])
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, opened(value, seen)]))
}

const json = (value) => make('pre', { textContent: JSON.stringify(value, null, 2) })
const part = (title, content) => make('section', {}, make('h4', { textContent: title }), content)

function shown(method, path, entry) {
  const details = make('details', { id: `${method}${path}` })
  details.append(
    make('summary', {}, make('span', { className: 'method', textContent: method.toUpperCase() }), make('code', { textContent: path }),
      make('span', { className: 'what', textContent: entry.summary })),
  )
  details.addEventListener('toggle', () => {
    if (!details.open || details.childElementCount > 1) return
    details.append(make('p', { textContent: `Who may: ${entry['x-role']}.${entry['x-also'] ? ` Also at ${entry['x-also'].join(', ')}.` : ''}` }))
    if (entry.parameters?.length) details.append(part('Parameters', json(entry.parameters.map(({ name, in: where, required, schema }) => ({ name, in: where, required, ...schema })))))
    for (const [kind, body] of Object.entries(entry.requestBody?.content ?? {})) details.append(part(`Body: ${kind}`, json(opened(body.schema))))
    for (const [status, told] of Object.entries(entry.responses)) {
      const content = Object.entries(told.content ?? {})
      details.append(part(`${status} ${told.description}`, content.length ? json(opened(content[0][1].schema)) : make('span')))
    }
  }, { once: false })
  return details
}

const list = document.getElementById('routes')
const rows = Object.entries(api.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, entry]) => ({ path, method, entry })))
rows.sort((a, b) => a.path.localeCompare(b.path))
for (const row of rows) list.append((row.element = shown(row.method, row.path, row.entry)))
document.getElementById('search').addEventListener('input', (event) => {
  const wanted = event.target.value.toLowerCase()
  for (const row of rows) row.element.hidden = !`${row.method} ${row.path} ${row.entry.summary}`.toLowerCase().includes(wanted)
})
