/** Every word the editor says, in English; the other languages are fetched when chosen. */

import { signal } from '../vendor/preact.js';

export const EN = {
  ok: 'OK', cancel: 'Cancel', close: 'Close', more: 'More', refresh: 'Refresh', loading: 'Loading…', dismiss: 'Dismiss', upload: 'Upload a file', run: 'Run',
  'doc.untitled': 'Untitled', 'doc.hello': 'Hello',
  'cmd.undo': 'Undo', 'cmd.redo': 'Redo', 'cmd.delete': 'Delete', 'cmd.deleteHeal': 'Delete and join the wires', 'cmd.copy': 'Copy', 'cmd.cut': 'Cut', 'cmd.paste': 'Paste', 'cmd.pasteLinks': 'Paste with links',
  'cmd.duplicate': 'Duplicate', 'cmd.selectAll': 'Select all', 'cmd.selectUp': 'Select what feeds this', 'cmd.selectDown': 'Select what this feeds', 'cmd.mute': 'Mute', 'cmd.bypass': 'Bypass',
  'cmd.collapse': 'Collapse', 'cmd.pin': 'Pin', 'cmd.rename': 'Rename', 'cmd.group': 'Group', 'cmd.ungroup': 'Ungroup', 'cmd.subgraph': 'Make a subgraph', 'cmd.enter': 'Open the subgraph', 'cmd.leave': 'Leave the subgraph',
  'cmd.deselect': 'Select nothing', 'cmd.unpack': 'Unpack the subgraph', 'cmd.tidy': 'Tidy up', 'cmd.recreate': 'Make the node anew', 'cmd.nudge': 'Nudge', 'cmd.run': 'Run', 'cmd.runFront': 'Run first in the queue', 'cmd.stop': 'Stop',
  'cmd.runTo': 'Run to this node', 'cmd.save': 'Save', 'cmd.saveAs': 'Save as…', 'cmd.open': 'Open a file…', 'cmd.new': 'New workflow', 'cmd.close': 'Close the tab', 'cmd.reopen': 'Open the closed tab again', 'cmd.download': 'Download the workflow',
  'cmd.exportPrompt': 'Download in API form', 'cmd.diff': 'Versions and differences…', 'cmd.sweep': 'Sweep values…', 'cmd.form': 'App mode', 'cmd.commands': 'Commands', 'cmd.shortcuts': 'Keyboard shortcuts', 'cmd.settings': 'Settings', 'cmd.logs': 'Server log',
  'cmd.stats': 'Server and run statistics', 'cmd.theme': 'Light or dark', 'cmd.reloadDefs': 'Reload node definitions', 'cmd.clearErrors': 'Clear the errors', 'cmd.nextTab': 'Next tab', 'cmd.lastTab': 'Previous tab', 'cmd.region': 'Go to the next part of the page', 'cmd.openWorkflow': 'Open a saved workflow',
  'align.left': 'Align left', 'align.right': 'Align right', 'align.top': 'Align top', 'align.bottom': 'Align bottom', 'align.centerX': 'Centre in a column', 'align.centerY': 'Centre in a row', 'distribute.x': 'Even gaps across', 'distribute.y': 'Even gaps down',
  'panel.queue': 'Queue', 'panel.gallery': 'Gallery', 'panel.nodes': 'Nodes', 'panel.models': 'Models', 'panel.workflows': 'Workflows', 'panel.outline': 'Outline', 'panel.errors': 'Problems', 'panel.resize': 'Width of the panel', 'rail.label': 'Panels',
  'menu.label': 'Menu', 'menu.edit': 'Edit', 'menu.view': 'View', 'menu.add': 'Add a node', 'menu.addGroup': 'Add a group', 'menu.addNote': 'Add a note', 'menu.color': 'Colour', 'menu.swap': 'Replace with…', 'menu.arrange': 'Arrange',
  'color.none': 'None', 'color.red': 'Red', 'color.brown': 'Brown', 'color.green': 'Green', 'color.blue': 'Blue', 'color.pale': 'Pale blue', 'color.cyan': 'Cyan', 'color.purple': 'Purple', 'color.yellow': 'Yellow', 'color.black': 'Black',
  'image.open': 'Open the picture', 'image.save': 'Download', 'image.compare': 'Compare', 'image.newTab': 'Open in a new browser tab', 'mask.open': 'Paint a mask…',
  'link.insert': 'Insert a node', 'link.reroute': 'Add a bend', 'link.delete': 'Delete the wire', 'slot.cut': 'Disconnect', 'port.remove': 'Remove the port', 'reroute.remove': 'Remove the bend',
  'group.select': 'Select what is inside', 'group.fit': 'Fit around its nodes', 'group.mute': 'Mute its nodes', 'group.bypass': 'Bypass its nodes', 'group.on': 'Switch its nodes on',
  'widget.copy': 'Copy the value', 'widget.reset': 'Back to the default', 'widget.primitive': 'Make a primitive for it', 'widget.sweep': 'Sweep this value…', 'widget.form': 'Show in app mode', 'widget.unform': 'Take out of app mode', 'widget.promote': 'Show on the subgraph',
  'edit.rename': 'Rename', 'edit.add': 'Add a node', 'edit.file': 'Choose a file', 'edit.value': 'Change a value', 'edit.connect': 'Connect', 'rename.ask': 'New name',
  'control.fixed': 'stay', 'control.increment': 'add one', 'control.decrement': 'take one off', 'control.randomize': 'random', 'control.increment-wrap': 'add one, round',
  'run.group': 'Run', 'run.count': 'How many runs', 'run.more': 'More ways to run', 'run.progress': 'Progress of the run', 'run.noOutput': 'Nothing here leads to an output node. Connect it to a Save or Preview node first.', 'auto.off': 'Run when asked', 'auto.change': 'Run after each change', 'auto.always': 'Run without end',
  'queue.running': 'running', 'queue.waiting': 'waiting', 'queue.clear': 'Empty the queue', 'queue.clearPast': 'Forget all that ended', 'queue.past': 'Earlier', 'queue.empty': 'Nothing has run yet. Press Run.', 'queue.failed': 'failed', 'queue.cancelled': 'stopped', 'queue.front': 'Run next', 'queue.pause': 'Pause the queue', 'queue.resume': 'Go on with the queue', 'queue.paused': 'The queue is paused: what runs now goes on, nothing else starts.', 'queue.cancel': 'Take out of the queue',
  'queue.again': 'Run again', 'queue.openWorkflow': 'Open its workflow', 'queue.copyPrompt': 'Copy the prompt as JSON', 'queue.forget': 'Remove from the history',
  'gallery.size': 'Size of the pictures', 'gallery.temp': 'Show previews too', 'gallery.search': 'Search pictures and prompts', 'gallery.view': 'Look at {name}', 'gallery.choose': 'Choose {name}', 'gallery.chosen': '{n} chosen', 'gallery.unchoose': 'Choose none', 'gallery.empty': 'Pictures you make will be here.', 'gallery.toInput': 'Use as an input', 'gallery.sent': '{name} is an input now.',
  'note.read': 'Read the note', 'gallery.delete': 'Delete the file', 'gallery.deleteAsk': 'Delete {name} for good?', 'gallery.deleteMany': 'Delete {n} files for good?', 'light.compareNext': 'Compare with the next one', 'queue.earlier': 'Earlier', 'queue.later': 'Later', 'queue.edit': 'Edit and run again', 'queue.editInstead': 'Take out and edit', 'value.random': 'Random', 'models.kind': 'Kind', 'models.family': 'Family', 'models.parts': 'Holds', 'models.hash': 'Hash', 'models.hashNow': 'Work out the hash', 'models.hashing': 'Reading the file…', 'models.copied': 'The hash is copied.', 'models.million': '{n} M', 'models.unreadable': 'It cannot be read: {why}', 'models.told': 'What the file says of itself',
  'nodes.search': 'Search nodes', 'nodes.starred': 'Starred', 'nodes.star': 'Star', 'node.deprecated': 'old', 'node.experimental': 'experimental',
  'models.search': 'Search models', 'models.folders': 'Kinds of models', 'models.all': 'all', 'models.empty': 'No files here. Put them in the models folder.', 'models.use': 'Use in the workflow', 'models.file': 'File', 'models.modified': 'Changed', 'models.used': 'Used in', 'models.unused': 'no open or saved workflow', 'models.noLoader': 'There is no {type} node here to load it.',
  'workflows.search': 'Search workflows', 'workflows.saved': 'Saved', 'workflows.empty': 'Nothing saved yet. Ctrl+S saves the open workflow.', 'workflows.templates': 'Templates', 'workflows.deleteAsk': 'Delete {name}?',
  'errors.title': 'problems', 'errors.many': 'Problems: {n}', 'errors.show': 'Show', 'errors.none': 'No problems.', 'errors.trace': 'Where it happened', 'errors.missing': 'Missing node types', 'errors.missingHelp': 'Install the packs these come from, then reload the node definitions.',
  'outline.search': 'Search this graph', 'outline.pick': 'Choose a node to see its inputs and values.', 'outline.nothing': 'not connected', 'outline.links': 'wires: {n}', 'outline.result': 'Result {name}', 'sub.inputs': 'Inputs of the subgraph', 'sub.name': 'Subgraph', 'cmd.publish': 'Keep for other workflows…', 'sub.publishAsk': 'Keep this subgraph as', 'sub.published': '{name} is now among the nodes, under subgraphs.',
  'palette.label': 'Find a node', 'palette.hint': 'Find a node', 'palette.results': 'Nodes', 'palette.none': 'Nothing found.', 'palette.add': 'Add', 'palette.stay': 'add and stay', 'palette.takes': 'takes {type}', 'palette.gives': 'gives {type}', 'palette.replace': 'replace with', 'commands.hint': 'What to do',
  'lazy.failed': 'This part could not be fetched: the server is away, or has been updated since.', 'lazy.reload': 'Load the page anew',
  'tabs.label': 'Open workflows', 'tab.rename': 'Rename', 'tab.duplicate': 'Duplicate', 'tab.copy': 'copy', 'tab.close': 'Close {name}', 'tab.closeOthers': 'Close the others', 'tab.running': 'running', 'tab.dirty': 'not saved',
  'crumbs.label': 'Where you are', 'canvas.label': 'Canvas', 'empty.text': 'An empty canvas. Double-click it to add a node, or drop a picture made elsewhere.', 'empty.templates': 'Templates',
  'save.ask': 'Save as', 'save.done': 'Saved {name}', 'save.failed': 'It could not be saved: {why}', 'save.replace': '{name} exists. Replace it? The old one is kept as a version.', 'save.replaceYes': 'Replace', 'close.ask': '{name} has changes that are not saved.', 'close.yes': 'Close without saving',
  'open.missing': 'Left out, because nobody defines them here: {types}', 'open.groups': 'Group nodes to subgraphs', 'open.grouped': 'Group nodes are subgraphs now: {n}', 'open.unknown': 'Node types nobody defines here: {types}', 'open.failed': '{name} could not be opened: {why}', 'drop.failed': '{name}: {why}', 'drop.nothing': 'There is no workflow in {name}, and no node here that loads it.', 'paste.failed': 'That could not be pasted: {why}',
  'socket.none': 'The server does not answer.', 'socket.connecting': 'connecting…', 'socket.lost': 'no connection, trying again…',
  'say.undone': 'Undone: {what}', 'say.redone': 'Redone: {what}', 'say.reloaded': 'Node definitions are up to date.', 'say.finished': 'The run has ended.', 'say.failed': 'The run failed.', 'say.running': 'Running {label}', 'say.step': '{label}: step {value} of {max}',
  'time.now': 'just now', 'time.minutes': '{n} min ago', 'time.hours': '{n} h ago',
  'light.next': 'Next', 'light.last': 'Previous', 'light.info': 'How it was made', 'light.zoom': 'Actual size', 'compare.title': 'Compare', 'compare.before': 'before', 'compare.after': 'after', 'compare.slider': 'Where the two meet',
  'mask.title': 'Paint a mask', 'mask.brush': 'Brush', 'mask.eraser': 'Eraser', 'mask.size': 'Size', 'mask.soft': 'Softness', 'mask.clear': 'Clear', 'mask.invert': 'Invert', 'mask.save': 'Save the mask', 'mask.saved': 'The mask is saved.', 'mask.none': 'This node shows no picture to paint on.',
  'settings.look': 'Look', 'settings.canvas': 'Canvas', 'settings.runs': 'Runs', 'settings.keys': 'Shortcuts', 'settings.about': 'About', 'settings.theme': 'Theme', 'theme.system': 'as the system', 'theme.light': 'light', 'theme.dark': 'dark', 'settings.language': 'Language', 'settings.textSize': 'Size of text', 'settings.motion': 'Motion', 'motion.full': 'full', 'motion.less': 'less',
  'settings.snap': 'Snap to the grid', 'settings.grid': 'Grid step', 'settings.links': 'Wires', 'links.curve': 'curved', 'links.straight': 'straight', 'links.ortho': 'right angles', 'settings.minimap': 'Minimap', 'settings.stats': 'Time of each node on the node', 'settings.advice': 'What models were made for', 'settings.zoomSpeed': 'Speed of zoom', 'settings.mode': 'Dragging the empty canvas', 'mode.pan': 'moves it', 'mode.select': 'selects', 'settings.previews': 'Previews while sampling',
  'keys.search': 'Search commands', 'keys.press': 'Press keys…', 'keys.add': 'Change', 'keys.reset': 'Default', 'keys.taken': '{key} was for {what}.', 'keys.reserved': 'The browser keeps {key} for itself.', 'keys.none': 'none',
  'about.text': 'Latent Loom is a node workflow engine for image and video diffusion. It reads and writes ComfyUI workflows.',
  'logs.empty': 'The server has said nothing yet.', 'stats.server': 'Server', 'stats.memory': 'Memory', 'stats.device': 'Device', 'stats.free': '{free} free of {total}', 'stats.run': 'The last run', 'stats.node': 'Node', 'stats.time': 'Time', 'stats.share': 'Share of the slowest', 'stats.cached': 'cached', 'stats.none': 'No run yet.', 'stats.freeModels': 'Free the memory of models', 'stats.freed': 'Memory will be freed.',
  'diff.pick': 'Compare the open workflow with', 'diff.saved': 'the saved file', 'diff.same': 'There is no difference.', 'diff.added': 'added', 'diff.removed': 'removed', 'diff.changed': 'changed', 'diff.open': 'Open this version', 'diff.none': 'This workflow has not been saved yet, so there is nothing to compare with.', 'diff.links': 'Wires',
  'sweep.input': 'Value', 'sweep.values': 'Values', 'sweep.hint': 'One a line, or 1..10 step 2', 'sweep.second': 'Second value (rows)', 'sweep.nothing': 'none', 'sweep.total': 'Runs: {n}', 'sweep.go': 'Run them', 'sweep.grid': 'Results of the sweep', 'sweep.waiting': 'waiting', 'sweep.show': 'Show its sweep',
  'form.empty': 'Nothing is on this form yet. Right-click a value on a node and choose "Show in app mode", or pick values here.', 'form.edit': 'Choose what is shown', 'form.done': 'Done', 'form.graph': 'Show the graph', 'form.share': 'Copy the address', 'form.shared': 'The address is copied.', 'form.result': 'Result', 'form.noResult': 'Press Run to make the first picture.', 'form.pick': 'What the form shows',
  'assist.tokens': 'about {n} tokens', 'assist.exact': 'CLIP reads {n} tokens; {rows} × 75 have room',
  'advice.made': 'Made for {what}', 'advice.steps': '{n} steps', 'advice.use': 'Use', 'advice.no': 'Not here', 'advice.edit': 'Set the sampler as the model was made for', 'advice.done': 'The sampler is set.',
  'login.title': 'Sign in', 'login.name': 'Name', 'login.password': 'Password', 'login.go': 'Sign in', 'login.wrong': 'Name or password is wrong.', 'cmd.signOut': 'Sign out',

  // The canvas
  'toolbox.label': 'What can be done with the selection', 'toolbox.color': 'Colour', 'toolbox.more': 'More', 'touch.several': 'Select several by tapping',
  'view.fit': 'Show the selection, or everything', 'view.all': 'Show everything', 'view.full': 'Zoom to 100 %', 'view.in': 'Zoom in',
  'view.out': 'Zoom out', 'view.left': 'Move the view left', 'view.right': 'Move the view right', 'view.up': 'Move the view up', 'view.down': 'Move the view down', 'view.minimap': 'Show or hide the minimap',
  'node.search': 'Add a node', 'node.swap': 'Replace the node by another', 'walk.next': 'Next node', 'walk.back': 'Previous node', 'walk.Left': 'Go to the node that feeds this one', 'walk.Right': 'Go to the node this one feeds',
  'walk.Up': 'Go to the node above', 'walk.Down': 'Go to the node below', 'walk.Left.add': 'Select also the node that feeds this one', 'walk.Right.add': 'Select also the node this one feeds', 'walk.Up.add': 'Select also the node above', 'walk.Down.add': 'Select also the node below',
  'wire.quick': 'Connect the selected nodes', 'wire.loosen': 'Take the nodes out of their wires', 'wire.noPlace': '{node} has no place for this type.', 'mark.set': 'Keep this view as {n}', 'mark.go': 'Go to view {n}', 'mark.kept': 'View kept as {n}',
  'mark.pinned': 'pinned', 'mark.muted': 'muted', 'mark.bypassed': 'bypassed', 'mark.missing': 'missing', 'column.in': 'Inputs', 'column.out': 'Outputs',
  'media.gone': '{name} is not there', 'run.steps': '{value} of {max}', 'run.cached': 'cached', 'seed.after': 'after each run', 'seed.none': 'No run has used a seed here yet.', 'button.upload': 'Choose a file',
  'list.filter': 'Filter', 'list.none': 'Nothing matches', 'edit.set': 'Set {name}', 'edit.move': 'Move', 'edit.insert': 'Insert on a wire',
  'edit.duplicate': 'Duplicate', 'edit.resize': 'Resize', 'edit.color': 'Colour', 'edit.disconnect': 'Disconnect', 'edit.moveWire': 'Move a wire',
  'edit.moveWires': 'Move wires', 'edit.branch': 'Branch a wire', 'edit.cut': 'Cut wires', 'edit.break': 'Break the links of a socket', 'edit.fold': 'Collapse', 'edit.unfold': 'Open',
  'edit.reroute': 'Add a reroute', 'edit.unroute': 'Remove a reroute',
  'cmd.modeSelect': 'Dragging empty canvas selects', 'cmd.modePan': 'Dragging empty canvas moves the view',
  'why.itself': 'A node cannot feed itself.', 'why.noOutput': 'That output is gone.', 'why.noInput': 'That input is gone.', 'why.types': 'This output gives {gives}; the input takes {takes}.', 'why.loop': 'That would make a loop: the node already feeds this one.',
  'why.lora': 'This LoRA is made for {file}; the model is {model}.', 'why.models': 'One model is {one}, the other {other}: they cannot be merged.', 'why.words': 'These prompts are read by the text encoder of {words}; the model is {model}.',
  'why.control': 'This ControlNet is made for {file}; the prompts are for {words}.', 'why.latentModel': 'This latent has {has} channels; the model takes {takes}.', 'why.latentKin': 'This latent is for {has}; with {takes} its colours come out wrong.', 'why.latentVae': 'This latent has {has} channels; the VAE takes {takes}.',
};

export const LANGUAGES = { en: 'English', ru: 'Русский' };

export class Words {
  /** @param {import('./prefs.js').Prefs} prefs */
  constructor(prefs) {
    this.prefs = prefs;
    /** @type {import('../vendor/preact.js').Signal<Record<string, string>>} */ this.table = signal(EN);
    this.language = 'en';
    prefs.signal('language').subscribe((/** @type {string} */ chosen) => void this.choose(chosen));
  }

  /** @param {string} chosen '' = as the browser */
  async choose(chosen) {
    const wanted = chosen || (navigator.language.startsWith('ru') ? 'ru' : 'en');
    this.language = wanted in LANGUAGES ? wanted : 'en';
    document.documentElement.lang = this.language;
    this.table.value = this.language === 'ru' ? { ...EN, ...(await import('./words.ru.js')).RU } : EN;
  }

  /** The text of a key; a key nobody knows is itself the text. @param {string} key @param {Record<string, any>} [vars] @returns {string} */
  t(key, vars) {
    const text = this.table.value[key] ?? key;
    return vars ? text.replace(/\{(\w+)\}/g, (whole, name) => (name in vars ? String(vars[name]) : whole)) : text;
  }
}
