// As an ES module, node:http reads all it exports at once, and WebSocket among it loads all of undici.
module.exports = process.getBuiltinModule('node:http');
